// A network switch in user space: forwards packets between TUN devices, and loses, cuts or delays them on command.
//
//   switch FD:HOST ..        each FD is the TUN device of the machine 10.77.0.HOST
//
// Obeys lines on stdin, each answered by a line:
//   set FROM TO LOSS_PPM DELAY_US   what happens to packets from one host to another; 1000000 = cut
//   count                           -> "FORWARDED LOST DELAYED" since the last count
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { HOSTS = 256, PACKET = 65536, IPV4_HEADER = 20, TARGET = 19, MOST_DELAYED = 32768, CERTAIN = 1000000, AT_ONCE = 64 };

struct rule { uint32_t loss_ppm, delay_us; };
struct packet { uint64_t due_ns, number; int to; size_t size; char *bytes; };

static struct rule rules[HOSTS][HOSTS];
static int device[HOSTS];
static struct packet heap[MOST_DELAYED];
static size_t delayed;
static uint64_t numbers, forwarded, lost, late;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int earlier(size_t a, size_t b) {
  return heap[a].due_ns != heap[b].due_ns ? heap[a].due_ns < heap[b].due_ns : heap[a].number < heap[b].number;
}

static void swap(size_t a, size_t b) {
  struct packet kept = heap[a];
  heap[a] = heap[b];
  heap[b] = kept;
}

static void push(struct packet packet) {
  size_t at = delayed++;
  heap[at] = packet;
  for (; at && earlier(at, (at - 1) / 2); at = (at - 1) / 2) swap(at, (at - 1) / 2);
}

static struct packet pop(void) {
  struct packet first = heap[0];
  heap[0] = heap[--delayed];
  for (size_t at = 0, child; (child = 2 * at + 1) < delayed; at = child) {
    if (child + 1 < delayed && earlier(child + 1, child)) child++;
    if (!earlier(child, at)) break;
    swap(child, at);
  }
  return first;
}

// A full queue of the device loses the packet, as a real network does.
static void deliver(int to, const char *bytes, size_t size) {
  if (write(device[to], bytes, size) == (ssize_t)size) forwarded++;
  else lost++;
}

static void route(int from, const char *bytes, size_t size) {
  if (size < IPV4_HEADER || (bytes[0] & 0xf0) != 0x40) return;
  int to = (unsigned char)bytes[TARGET];
  if (device[to] < 0) return;
  struct rule rule = rules[from][to];
  if (rule.loss_ppm && (rule.loss_ppm >= CERTAIN || (uint32_t)(random() % CERTAIN) < rule.loss_ppm)) {
    lost++;
  } else if (!rule.delay_us) {
    deliver(to, bytes, size);
  } else if (delayed == MOST_DELAYED) {
    lost++;
  } else {
    struct packet packet = {now_ns() + (uint64_t)rule.delay_us * 1000, numbers++, to, size, malloc(size)};
    if (!packet.bytes) exit(1);
    memcpy(packet.bytes, bytes, size);
    push(packet);
    late++;
  }
}

static void obey(const char *line) {
  unsigned from, to, loss_ppm, delay_us;
  if (sscanf(line, "set %u %u %u %u", &from, &to, &loss_ppm, &delay_us) == 4 && from < HOSTS && to < HOSTS) {
    rules[from][to] = (struct rule){loss_ppm, delay_us};
    puts("ok");
  } else if (!strcmp(line, "count")) {
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", forwarded, lost, late);
    forwarded = lost = late = 0;
  } else {
    puts("unknown");
  }
}

// Lines may come in pieces.
static void listen_to_commands(void) {
  static char text[65536];
  static size_t used;
  ssize_t got = read(0, text + used, sizeof text - 1 - used);
  if (got <= 0) exit(0);
  used += (size_t)got;
  text[used] = 0;
  char *line = text;
  for (char *end; (end = strchr(line, '\n')); line = end + 1) {
    *end = 0;
    obey(line);
  }
  used = strlen(line);
  memmove(text, line, used + 1);
  fflush(stdout);
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct pollfd polled[HOSTS] = {{.fd = 0, .events = POLLIN}};
  int host_of[HOSTS], count = 1;
  memset(device, -1, sizeof device);
  for (int i = 1; i < argc && count < HOSTS; i++) {
    int fd, host;
    if (sscanf(argv[i], "%d:%d", &fd, &host) != 2 || host < 0 || host >= HOSTS) return 2;
    device[host] = fd;
    host_of[count] = host;
    polled[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    int wait = -1;
    if (delayed) {
      uint64_t now = now_ns();
      wait = heap[0].due_ns > now ? (int)((heap[0].due_ns - now) / 1000000) + 1 : 0;
    }
    if (poll(polled, (nfds_t)count, wait) < 0 && errno != EINTR) return 1;
    for (uint64_t now = now_ns(); delayed && heap[0].due_ns <= now;) {
      struct packet packet = pop();
      deliver(packet.to, packet.bytes, packet.size);
      free(packet.bytes);
    }
    for (int i = 1; i < count; i++) {
      static char bytes[PACKET];
      ssize_t size = 0;
      for (int n = 0; polled[i].revents & POLLIN && n < AT_ONCE && (size = read(polled[i].fd, bytes, sizeof bytes)) > 0; n++)
        route(host_of[i], bytes, (size_t)size);
    }
    if (polled[0].revents) listen_to_commands();
  }
}

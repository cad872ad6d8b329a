// Loaded into a broker (LD_PRELOAD): steps its wall clock and slows its disk, as the file named by TIDEGATE_SHIM says.
//
// The file holds four 64-bit numbers: [0] ns to add to the wall clock, [1] microseconds that each write to a file and each
// fsync takes longer; and counts [2] how often a stepped clock was read, [3] how many writes were delayed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CLOCK, DISK, READ, DELAYED, NUMBERS };
enum { NS = 1000000000 };
static volatile int64_t nothing[NUMBERS], *told = nothing;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("TIDEGATE_SHIM");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof nothing, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) told = map;
  close(fd);
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real ? real(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
  int64_t step = told[CLOCK];
  if (!failed && step && is_wall(clock)) {
    int64_t ns = (int64_t)time->tv_sec * NS + time->tv_nsec + step;
    *time = (struct timespec){ns / NS, ns % NS};
    told[READ]++;
  }
  return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  if (!failed) *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

// Not the standard streams, and not sockets.
static void slow_down(int fd) {
  struct stat about;
  int64_t us = told[DISK];
  if (us <= 0 || fd <= 2 || fstat(fd, &about) || !S_ISREG(about.st_mode)) return;
  struct timespec left = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&left, NULL);
  told[DELAYED]++;
}

#define SLOW(result, name, parameters, arguments)                                  \
  result name parameters {                                                         \
    static result(*real) parameters;                                               \
    if (!real) real = (result(*) parameters)dlsym(RTLD_NEXT, #name);               \
    slow_down(fd);                                                                 \
    return real arguments;                                                         \
  }

SLOW(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
SLOW(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
SLOW(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
SLOW(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
SLOW(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
SLOW(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
SLOW(int, fsync, (int fd), (fd))
SLOW(int, fdatasync, (int fd), (fd))

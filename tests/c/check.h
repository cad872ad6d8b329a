// Tests in C: `TEST(name) { CHECK(..); }`, each run in a process of its own by ctest, or all of them without argument.

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidegate.h>
#include <unistd.h>

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_IS(actual, expected) check_is((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_HAS(text, part) check_has((text), (part), #text, __FILE__, __LINE__)

// The macro leaves room for nothing else on the line: CMakeLists.txt finds the names by it.
#define TEST(name)                                                                  \
  static void name(void);                                                           \
  __attribute__((constructor)) static void register_##name(void) {                  \
    tests[tests_count++] = (struct test){#name, name};                              \
  }                                                                                 \
  static void name(void)

struct test {
  const char *name;
  void (*run)(void);
};
static struct test tests[64];
static size_t tests_count;

// For forked children: exit() would run what the parent registered.
static inline void check(int holds, const char *what, const char *file, int line) {
  if (holds) return;
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  fflush(NULL);
  _exit(1);
}

static inline void check_is(long long actual, long long expected, const char *what, const char *file, int line) {
  if (actual == expected) return;
  fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", file, line, what, actual, expected);
  fflush(NULL);
  _exit(1);
}

static inline void check_has(const char *text, const char *part, const char *what, const char *file, int line) {
  if (strstr(text, part)) return;
  fprintf(stderr, "%s:%d: no \"%s\" in %s: %s\n", file, line, part, what, text);
  fflush(NULL);
  _exit(1);
}

int main(int argc, char **argv) {
  int ran = 0;
  for (size_t i = 0; i < tests_count; i++) {
    if (argc > 1 && strcmp(argv[1], tests[i].name) != 0) continue;
    tests[i].run();
    printf("ok %s\n", tests[i].name);
    fflush(NULL);
    ran++;
  }
  if (!ran) fprintf(stderr, "no such test: %s\n", argc > 1 ? argv[1] : "(all)");
  return ran ? 0 : 1;
}

#endif

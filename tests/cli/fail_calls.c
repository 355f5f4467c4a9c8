/* Preloaded by test_runs.py: the n-th call (FAIL_CALL) that writes, syncs, renames, or all from it on (FAIL_ALL), fails
   with ENOSPC where it is about a regular file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fails(void) {
  static int calls = 0;
  const char *at = getenv("FAIL_CALL"), *all = getenv("FAIL_ALL");
  int n = at ? atoi(at) : 0;
  int call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);  /* checkpoints are written by a thread of their own */
  if (n == 0 || (all ? call < n : call != n)) return 0;
  errno = ENOSPC;
  return 1;
}
static int regular(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}
ssize_t write(int fd, const void* from, size_t n) {
  static ssize_t (*real)(int, const void*, size_t);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "write");
  return regular(fd) && fails() ? -1 : real(fd, from, n);
}
int fsync(int fd) {
  static int (*real)(int);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "fsync");
  return regular(fd) && fails() ? -1 : real(fd);
}
int rename(const char* from, const char* to) {
  static int (*real)(const char*, const char*);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "rename");
  return fails() ? -1 : real(from, to);
}

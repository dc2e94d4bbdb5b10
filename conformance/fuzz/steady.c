/* Put before the C library of a fuzz target: hash tables are seeded alike in every run, so that the same inputs reach
 * the same places. The targets have no other use for randomness. */
#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *at, size_t length, unsigned flags) {
  (void)flags;
  memset(at, 7, length);
  return (ssize_t)length;
}

// Preloaded into the daemon by tests/e2e/allocations_test: counts what is taken from the heap. glibc's own
// names stand behind ours, so nothing has to be looked up (dlsym() allocates).
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "counts.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t align, size_t size);
}

namespace {

allocations::Counts* counts = nullptr;

__attribute__((constructor)) void map_counts() {
  const char* path = std::getenv(allocations::variable);
  int fd = path ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* page = ::mmap(nullptr, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page != MAP_FAILED) counts = static_cast<allocations::Counts*>(page);
}

void count() {
  if (counts) counts->made.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

#define COUNTED extern "C" __attribute__((visibility("default")))

COUNTED void* malloc(size_t size) { return count(), __libc_malloc(size); }
COUNTED void* calloc(size_t number, size_t size) { return count(), __libc_calloc(number, size); }
COUNTED void* realloc(void* old, size_t size) { return count(), __libc_realloc(old, size); }
COUNTED void* memalign(size_t align, size_t size) { return count(), __libc_memalign(align, size); }
COUNTED void* aligned_alloc(size_t align, size_t size) { return count(), __libc_memalign(align, size); }
COUNTED int posix_memalign(void** out, size_t align, size_t size) {
  count();
  *out = __libc_memalign(align, size);
  return *out ? 0 : ENOMEM;
}

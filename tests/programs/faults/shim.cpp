// Preloaded into the daemon by tests/e2e/faults_test: makes the n-th call of one kind fail, or do its work on
// one byte. Without the plan's file it passes everything on.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "plan.h"

namespace {
using faults::Call;
using faults::Plan;

constexpr int passes = 0;

Plan* map_plan() {
  const char* path = std::getenv(faults::variable);
  int fd = path ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return nullptr;
  void* page = ::mmap(nullptr, sizeof(Plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return page == MAP_FAILED ? nullptr : static_cast<Plan*>(page);
}

// What this call is to do: `passes`, an errno, or one of the plan's other words.
int verdict(Call call) {
  static Plan* plan = map_plan();
  if (!plan || plan->armed.load() == 0 || plan->call.load() != call) return passes;
  uint32_t number = ++plan->seen;
  if (number < plan->at.load() || number >= plan->at.load() + plan->times.load()) return passes;
  ++plan->struck;
  return plan->error.load();
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int fail(int error) {
  errno = error;
  return -1;
}

// Descriptors that no epoll has seen yet. libuv tries each one out before it takes it, and that is where a
// full table of watches shows.
std::array<std::atomic<bool>, 65536> fresh;

int made(int fd) {
  if (fd >= 0 && static_cast<size_t>(fd) < fresh.size()) fresh[static_cast<size_t>(fd)] = true;
  return fd;
}

}  // namespace

#define PASSED_ON extern "C" __attribute__((visibility("default")))

PASSED_ON ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  static auto* next = real<ssize_t(int, void*, size_t, int)>("recv");
  int what = verdict(Call::recv);
  if (what > 0) return fail(what);
  if (what == Plan::end) return 0;
  return next(fd, buffer, what == Plan::one_byte ? std::min<size_t>(size, 1) : size, flags);
}

PASSED_ON ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  static auto* next = real<ssize_t(int, const void*, size_t, int)>("send");
  int what = verdict(Call::send);
  if (what > 0) return fail(what);
  return next(fd, bytes, what == Plan::one_byte ? std::min<size_t>(size, 1) : size, flags);
}

PASSED_ON ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static auto* next = real<ssize_t(int, const msghdr*, int)>("sendmsg");
  int what = verdict(Call::send);
  if (what > 0) return fail(what);
  if (what == passes) return next(fd, message, flags);
  for (size_t i = 0; i < message->msg_iovlen; ++i) {
    if (message->msg_iov[i].iov_len == 0) continue;
    iovec first{message->msg_iov[i].iov_base, 1};
    msghdr one{};
    one.msg_iov = &first;
    one.msg_iovlen = 1;
    return next(fd, &one, flags);
  }
  return next(fd, message, flags);
}

PASSED_ON int connect(int fd, const sockaddr* to, socklen_t size) {
  static auto* next = real<int(int, const sockaddr*, socklen_t)>("connect");
  int what = verdict(Call::connect);
  return what > 0 ? fail(what) : next(fd, to, size);
}

PASSED_ON int accept4(int fd, sockaddr* from, socklen_t* size, int flags) {
  static auto* next = real<int(int, sockaddr*, socklen_t*, int)>("accept4");
  int what = verdict(Call::accept4);
  return what > 0 ? fail(what) : made(next(fd, from, size, flags));
}

PASSED_ON int socket(int domain, int type, int protocol) {
  static auto* next = real<int(int, int, int)>("socket");
  int what = verdict(Call::socket);
  return what > 0 ? fail(what) : made(next(domain, type, protocol));
}

PASSED_ON int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  static auto* next = real<int(int, int, int, epoll_event*)>("epoll_ctl");
  bool first = operation == EPOLL_CTL_ADD && fd >= 0 && static_cast<size_t>(fd) < fresh.size() &&
               fresh[static_cast<size_t>(fd)].exchange(false);
  if (int what = first ? verdict(Call::epoll_add) : passes; what > 0) return fail(what);
  return next(epoll, operation, fd, event);
}

PASSED_ON ssize_t splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags) {
  static auto* next = real<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)>("splice");
  int what = verdict(Call::splice);
  if (what > 0) return fail(what);
  return next(from, from_at, to, to_at, what == Plan::one_byte ? std::min<size_t>(size, 1) : size, flags);
}

PASSED_ON int pipe2(int* ends, int flags) {
  static auto* next = real<int(int*, int)>("pipe2");
  int what = verdict(Call::pipe2);
  return what > 0 ? fail(what) : next(ends, flags);
}

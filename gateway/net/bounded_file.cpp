#include "net/bounded_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace penstock::net {
namespace {

std::string size_text(size_t bytes) {
  constexpr size_t kib = 1024, mib = kib * kib;
  return bytes % mib == 0 ? fmt::format("{} MiB", bytes / mib) : fmt::format("{} KiB", bytes / kib);
}

struct OpenFile {
  int fd;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::expected<std::string, std::string> read_file(std::string_view what, const std::string& path,
                                                  size_t max_bytes) {
  auto wrong = [&](std::string_view why) {
    return std::unexpected(fmt::format("cannot read {} '{}': {}", what, path, why));
  };
  // Of a pipe without a writer nobody waits for one.
  const OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat info{};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) return wrong(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return wrong("it is no regular file");
  const auto size_now = static_cast<uint64_t>(info.st_size);
  if (size_now > max_bytes) return wrong(fmt::format("it is too large, {} at most", size_text(max_bytes)));
  // Of that size at once, so that no part of a key is left behind where a string grew.
  std::string bytes(size_now, '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t size = ::read(file.fd, bytes.data() + filled, bytes.size() - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return wrong(std::strerror(errno));
    if (size == 0) break;
    filled += static_cast<size_t>(size);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace penstock::net

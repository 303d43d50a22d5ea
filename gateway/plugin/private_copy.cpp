#include "plugin/private_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace penstock::plugin {
namespace {

constexpr size_t hash_digits = 64;
constexpr std::string_view ending = ".so", unique = ".XXXXXX";

// Where the kernel knows it: without it, a system may forbid to execute what is in memory
// (vm.memfd_noexec).
#ifdef MFD_EXEC
constexpr unsigned executable = MFD_EXEC;
#else
constexpr unsigned executable = 0x0010;
#endif

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool holds(int fd, std::string_view bytes) {
  struct stat info{};
  if (::fstat(fd, &info) != 0 || static_cast<size_t>(info.st_size) != bytes.size()) return false;
  std::array<char, 64 * 1024> buffer;
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (n <= 0 || bytes.compare(at, static_cast<size_t>(n), buffer.data(), static_cast<size_t>(n)) != 0)
      return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

// Whoever removes a file has locked it alone; one that was opened before and locked afterwards has no name.
bool has_its_name(int fd, const std::string& path) {
  struct stat open{}, named{};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

bool is_copy(std::string_view name) {
  if (name.size() > ending.size() + unique.size() &&
      name.substr(name.size() - unique.size() - ending.size()).starts_with(".so.")) {
    name.remove_suffix(unique.size());  // one that was being written
  }
  if (!name.ends_with(ending)) return false;
  name.remove_suffix(ending.size());
  if (name.size() <= hash_digits || name[name.size() - hash_digits - 1] != '-') return false;
  return name.substr(name.size() - hash_digits).find_first_not_of("0123456789abcdef") == name.npos;
}

}  // namespace

int PrivateCopy::lock_existing(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_SH | LOCK_NB) == 0 && has_its_name(fd, path) && holds(fd, bytes)) return fd;
  ::close(fd);
  return -1;
}

bool PrivateCopy::write_new(const std::string& path, std::string_view bytes) {
  std::string temporary = path + std::string(unique);
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return false;
  ::flock(fd, LOCK_SH | LOCK_NB);  // not to be swept
  const bool written =
      write_all(fd, bytes) && ::fchmod(fd, 0500) == 0 && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) ::unlink(temporary.c_str());
  ::close(fd);
  return written;
}

std::optional<PrivateCopy> PrivateCopy::in_folder(const std::string& folder, std::string_view stem,
                                                  std::string_view hash, std::string_view bytes) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  // The name carries the hash: dlopen would answer the path of a replaced file with the old code.
  std::string path = fmt::format("{}/{}-{}{}", folder, stem, hash, ending);
  // Another process may remove in between what this one has just found or written.
  for (int tries = 0; tries < 3; ++tries) {
    if (const int fd = lock_existing(path, bytes); fd >= 0)
      return PrivateCopy(Kind::file, fd, std::move(path));
    if (!write_new(path, bytes)) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<PrivateCopy> PrivateCopy::in_memory(std::string_view name, std::string_view bytes) {
  const std::string shown(name);
  int fd = ::memfd_create(shown.c_str(), MFD_CLOEXEC | executable);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(shown.c_str(), MFD_CLOEXEC);  // before Linux 6.3
  if (fd < 0) return std::nullopt;
  PrivateCopy copy(Kind::memory, fd, fmt::format("/proc/self/fd/{}", fd));
  if (!write_all(fd, bytes)) return std::nullopt;
  return copy;
}

void PrivateCopy::sweep(const std::string& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!is_copy(it->path().filename().string())) continue;
    const int fd = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(fd);
  }
}

PrivateCopy::PrivateCopy(PrivateCopy&& other) noexcept
    : kind_(other.kind_),
      fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      kept_(other.kept_) {}

PrivateCopy::~PrivateCopy() {
  if (fd_ < 0 || kept_) return;
  if (kind_ == Kind::file && ::flock(fd_, LOCK_EX | LOCK_NB) == 0 && has_its_name(fd_, path_))
    ::unlink(path_.c_str());
  ::close(fd_);
}

}  // namespace penstock::plugin

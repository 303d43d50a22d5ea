#include "config/sources.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace penstock::config {
namespace {

constexpr size_t max_file_bytes = 16u << 20;   // ten thousand routes are about 5 MiB
constexpr size_t max_total_bytes = 64u << 20;  // of a folder
constexpr size_t max_files = 1000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Length of the UTF-8 sequence at `i`, 0 where there is none (RFC 3629 section 4).
size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
  const unsigned first = byte(i);
  if (first < 0x80) return 1;
  const auto tail = [&](size_t k) { return (byte(k) & 0xC0u) == 0x80u; };
  if (first >= 0xC2 && first <= 0xDF) return tail(i + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if ((first == 0xE0 && byte(i + 1) < 0xA0) || (first == 0xED && byte(i + 1) > 0x9F)) return 0;
    return tail(i + 1) && tail(i + 2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if ((first == 0xF0 && byte(i + 1) < 0x90) || (first == 0xF4 && byte(i + 1) > 0x8F)) return 0;
    return tail(i + 1) && tail(i + 2) && tail(i + 3) ? 4 : 0;
  }
  return 0;
}

std::string normalised(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 >= text.size() || text[i + 1] != '\n') out += text[i];
  return out;
}

// The first byte that is no text: not UTF-8, or a control character; npos when all is well.
size_t first_bad_byte(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r') || byte == 0x7F) return i;
    const size_t length = utf8_length(text, i);
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace

FileText read_text_file(const std::string& path, size_t limit) {
  FileText result;
  // Non-blocking, so that a FIFO cannot hold up a reload.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) {
    result.problem = std::strerror(errno);
    return result;
  }
  if (!S_ISREG(info.st_mode)) {
    result.problem = S_ISDIR(info.st_mode) ? "it is a directory" : "it is not a regular file";
    return result;
  }
  char block[65536];
  for (;;) {
    const ssize_t n = ::read(file.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      result.problem = std::strerror(errno);
      return result;
    }
    if (n == 0) return result;
    result.text.append(block, static_cast<size_t>(n));
    if (result.text.size() > limit) {
      result.text.clear();
      result.problem = fmt::format("it is larger than {} KiB", limit / 1024);
      return result;
    }
  }
}

void Sources::read(const std::string& path, Diagnostics& diagnostics) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    read_file(path, diagnostics);
    return;
  }
  std::vector<std::string> names;
  for (auto it = std::filesystem::directory_iterator(path, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (!file.starts_with('.') && file.ends_with(".yaml")) names.push_back(file);
  }
  if (error) {
    diagnostics.error("unreadable", {}, "", fmt::format("cannot read folder {}: {}", path, error.message()));
    return;
  }
  if (names.empty() || names.size() > max_files) {
    diagnostics.error("unreadable", {}, "",
                      names.empty() ? fmt::format("folder {} holds no *.yaml file", path)
                                    : fmt::format("folder {} holds more than {} files", path, max_files));
    return;
  }
  std::sort(names.begin(), names.end());
  for (const std::string& file : names) read_file((std::filesystem::path(path) / file).string(), diagnostics);
}

void Sources::read_file(const std::string& path, Diagnostics& diagnostics) {
  const size_t left = max_total_bytes - std::min(max_total_bytes, total_bytes_);
  FileText file = read_text_file(path, std::min(max_file_bytes, left));
  if (!file.problem.empty()) {
    diagnostics
        .error("unreadable", {}, "", fmt::format("cannot read configuration {}: {}", path, file.problem))
        .hint = "give an existing file or folder with -c";
    return;
  }
  add(path, std::move(file.text), diagnostics);
}

uint32_t Sources::add(std::string name, std::string text, Diagnostics& diagnostics) {
  const auto index = static_cast<uint32_t>(files_.size());
  SourceFile& file = files_.emplace_back();
  file.directory = std::filesystem::path(name).parent_path().string();
  file.name = std::move(name);
  file.text = normalised(text);
  total_bytes_ += file.text.size();
  std::vector<size_t>& starts = line_starts_.emplace_back();
  starts.push_back(0);
  for (size_t i = 0; i < file.text.size(); ++i)
    if (file.text[i] == '\n') starts.push_back(i + 1);
  const size_t bad = first_bad_byte(file.text);
  if (bad != std::string_view::npos) {
    const auto after = std::upper_bound(starts.begin(), starts.end(), bad);
    const auto line = static_cast<uint32_t>(after - starts.begin());
    const auto column = static_cast<uint32_t>(bad - *(after - 1) + 1);
    diagnostics.error("not-text", {index, line, column}, "",
                      fmt::format("byte 0x{:02X} is not allowed, the file must be UTF-8 text",
                                  static_cast<unsigned char>(file.text[bad])));
    file.text.clear();
    starts.assign(1, 0);
  }
  return index;
}

std::string_view Sources::line(uint32_t file, uint32_t number) const {
  if (file >= files_.size() || number == 0 || number > line_starts_[file].size()) return {};
  const std::string_view text = files_[file].text;
  const size_t begin = line_starts_[file][number - 1];
  const size_t end = std::min(text.find('\n', begin), text.size());
  return text.substr(begin, end - begin);
}

std::string Sources::resolve(uint32_t file, std::string_view path) const {
  if (path.starts_with('/') || file >= files_.size() || files_[file].directory.empty())
    return std::string(path);
  return (std::filesystem::path(files_[file].directory) / path).string();
}

}  // namespace penstock::config

#include "plugin/library.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "net/digest.h"
#include "plugin/tables.h"

namespace penstock::plugin {
namespace {

constexpr size_t max_file_bytes = 256u << 20;
constexpr uint32_t max_context_bytes = 4096;

std::string_view view(gw_str s) { return {s.ptr, s.len}; }

const void* get_extension(const gw_host*, const char* id) { return id == nullptr ? nullptr : find_table(id); }

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// dlopen maps what the program headers promise; bytes that a cut file does not have would be a SIGBUS.
std::string elf_problem(std::string_view bytes) {
  Elf64_Ehdr header;
  if (!bytes.starts_with(std::string_view(ELFMAG, SELFMAG))) return "is no shared object";
  if (bytes.size() < sizeof header) return "is cut off";
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_DYN)
    return "is no shared object for this machine";
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return "has a broken ELF header";
  for (size_t i = 0; i < header.e_phnum; ++i) {
    const uint64_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
    if (at > bytes.size() || bytes.size() - at < sizeof(Elf64_Phdr)) return "is cut off";
    Elf64_Phdr segment;
    std::memcpy(&segment, bytes.data() + at, sizeof segment);
    if (segment.p_type == PT_LOAD &&
        (segment.p_offset > bytes.size() || segment.p_filesz > bytes.size() - segment.p_offset)) {
      return "is cut off";
    }
  }
  return {};
}

std::string hex(const auto& bytes) {
  std::string out;
  for (const uint8_t byte : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  return out;
}

}  // namespace

std::expected<std::string, std::string> Library::read(const std::string& path, std::string& bytes) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr)
    return std::unexpected(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  struct stat info{};
  if (::fstat(fileno(file.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::unexpected(fmt::format("{}: is no regular file", path));
  }
  if (static_cast<size_t>(info.st_size) > max_file_bytes)
    return std::unexpected(path + ": is larger than 256 MiB");
  bytes.resize(static_cast<size_t>(info.st_size));
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (const std::string problem = elf_problem(bytes); !problem.empty()) {
    return std::unexpected(fmt::format("{}: {}", path, problem));
  }
  return hex(net::sha256(bytes));
}

Library::Library(Host& host, std::string path, std::string hash)
    : path_(std::move(path)),
      file_name_(std::filesystem::path(path_).filename().string()),
      hash_(std::move(hash)),
      handle_{{sizeof(gw_host),
               GW_ABI_MAJOR,
               GW_ABI_MINOR,
               {PENSTOCK_VERSION, sizeof PENSTOCK_VERSION - 1},
               &get_extension},
              &host,
              this} {}

std::expected<std::shared_ptr<Library>, std::string> Library::load(Host& host, const std::string& path,
                                                                   const std::string& state_dir) {
  std::string bytes;
  auto hash = read(path, bytes);
  if (!hash) return std::unexpected(hash.error());
  std::shared_ptr<Library> library(new Library(host, path, *hash));
  for (auto step :
       {library->open(bytes, state_dir), library->object_ ? library->check_entry() : std::string()}) {
    if (!step.empty()) return std::unexpected(fmt::format("{}: {}", path, step));
  }
  return library;
}

Library::~Library() {
  if (initialised_ && entry_->deinit != nullptr) entry_->deinit();
  if (object_ != nullptr) ::dlclose(object_);
  // A library that stays loaded all the same (NODELETE) goes on being known by this descriptor's name.
  if (memory_fd_ >= 0) {
    const std::string name = fmt::format("/proc/self/fd/{}", memory_fd_);
    void* still = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (still != nullptr) {
      ::dlclose(still);
    } else {
      ::close(memory_fd_);
    }
  }
}

std::string Library::open(const std::string& bytes, const std::string& state_dir) {
  std::string problem;
  if (!state_dir.empty()) problem = open_copy(bytes, state_dir + "/plugins");
  if (object_ == nullptr) problem = open_memory(bytes);
  return problem;
}

// The name carries the hash: dlopen would answer the path of a replaced file with the old code.
std::string Library::open_copy(const std::string& bytes, const std::string& folder) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::string name =
      fmt::format("{}/{}-{}.so", folder, std::filesystem::path(path_).stem().string(), hash_);
  std::string there;
  if (const auto known = read(name, there); !known || *known != hash_) {
    std::string temporary = name + ".XXXXXX";
    const int fd = ::mkstemp(temporary.data());
    if (fd < 0) return std::strerror(errno);
    const bool written = write_all(fd, bytes) && ::fchmod(fd, 0500) == 0;
    ::close(fd);
    if (!written || ::rename(temporary.c_str(), name.c_str()) != 0) {
      ::unlink(temporary.c_str());
      return "its private copy cannot be written";
    }
  }
  object_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  return object_ != nullptr ? std::string() : fmt::format("cannot be loaded: {}", ::dlerror());
}

std::string Library::open_memory(const std::string& bytes) {
  memory_fd_ = ::memfd_create(file_name_.c_str(), MFD_CLOEXEC);
  if (memory_fd_ < 0 || !write_all(memory_fd_, bytes)) return "its private copy cannot be made in memory";
  object_ = ::dlopen(fmt::format("/proc/self/fd/{}", memory_fd_).c_str(), RTLD_NOW | RTLD_LOCAL);
  return object_ != nullptr ? std::string() : fmt::format("cannot be loaded: {}", ::dlerror());
}

std::string Library::check_entry() {
  entry_ = static_cast<const gw_entry*>(::dlsym(object_, "gw_plugin_entry"));
  if (entry_ == nullptr) return "is no plugin of Penstock: it has no symbol gw_plugin_entry";
  if (entry_->magic != GW_MAGIC) return "its gw_plugin_entry is none of Penstock (wrong magic)";
  if (entry_->abi_major != GW_ABI_MAJOR) {
    return fmt::format("was built for plugin ABI {}.{}, this daemon ({}) has {}.{}", entry_->abi_major,
                       entry_->abi_minor, PENSTOCK_VERSION, GW_ABI_MAJOR, GW_ABI_MINOR);
  }
  if (entry_->struct_size < sizeof(gw_entry)) return "its gw_plugin_entry is too short";
  if (entry_->plugins == nullptr || entry_->plugins[0] == nullptr) return "registers no plugin type";
  for (const gw_plugin* const* p = entry_->plugins; *p != nullptr; ++p) {
    if (std::string problem = check_plugin(**p); !problem.empty()) return problem;
    plugins_.push_back(*p);
  }
  if (entry_->init != nullptr) {
    const gw_rc rc = entry_->init(&handle_.abi);
    if (rc < 0) return fmt::format("its init failed ({})", rc);
  }
  initialised_ = true;
  return {};
}

std::string Library::check_plugin(const gw_plugin& p) const {
  if (p.struct_size < offsetof(gw_plugin, explain)) return "one of its plugin types is described too shortly";
  const std::string_view type = view(p.type);
  if (type.empty() || type.size() > 64 ||
      type.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != type.npos) {
    return "the name of one of its plugin types is not made of a-z, 0-9, _ and -";
  }
  if (p.ctx_size > max_context_bytes)
    return fmt::format("type '{}' wants more than 4096 bytes a request", type);
  for (const char* const* need = p.needs; need != nullptr && *need != nullptr; ++need) {
    if (find_table(*need) != nullptr) continue;
    return fmt::format("type '{}' needs {}, which this daemon ({}, plugin ABI {}.{}) does not have", type,
                       *need, PENSTOCK_VERSION, GW_ABI_MAJOR, GW_ABI_MINOR);
  }
  return {};
}

}  // namespace penstock::plugin

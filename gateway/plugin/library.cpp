#include "plugin/library.h"

#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>

#include "net/digest.h"
#include "plugin/host.h"
#include "plugin/tables.h"

namespace penstock::plugin {
namespace {

constexpr size_t max_file_bytes = 256u << 20;
constexpr uint32_t max_context_bytes = 4096;
// Of the first ABI: what is appended later is asked for by GW_HAS.
constexpr size_t entry_size = offsetof(gw_entry, plugins) + sizeof(gw_entry::plugins);

const void* get_extension(const gw_host*, const char* id) { return id == nullptr ? nullptr : find_table(id); }

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

// What dlopen said, without the name of the private copy in front.
std::string loading_problem(const std::string& name) {
  std::string_view said = ::dlerror();
  if (said.starts_with(name) && said.substr(name.size()).starts_with(": "))
    said.remove_prefix(name.size() + 2);
  return fmt::format("cannot be loaded: {}", said);
}

std::string hex(const auto& bytes) {
  std::string out;
  for (const uint8_t byte : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", byte);
  return out;
}

// Two looks at the file between which nobody wrote into it: what was read is whole.
bool unchanged(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

std::expected<LibraryFile, std::string> read_library(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr)
    return std::unexpected(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  struct stat before{}, after{};
  if (::fstat(fileno(file.get()), &before) != 0 || !S_ISREG(before.st_mode)) {
    return std::unexpected(fmt::format("{}: is no regular file", path));
  }
  if (static_cast<size_t>(before.st_size) > max_file_bytes)
    return std::unexpected(path + ": is larger than 256 MiB");
  LibraryFile out{path, std::string(static_cast<size_t>(before.st_size), '\0'), {}};
  out.bytes.resize(std::fread(out.bytes.data(), 1, out.bytes.size(), file.get()));
  if (const std::string problem = elf_problem(out.bytes); !problem.empty()) {
    return std::unexpected(fmt::format("{}: {}", path, problem));
  }
  if (::fstat(fileno(file.get()), &after) != 0 || !unchanged(before, after))
    return std::unexpected(path + ": is just being written; reload again when it is whole");
  out.hash = hex(net::sha256(out.bytes));
  return out;
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
              this},
      owner_{nullptr, file_name_},
      init_{&owner_, CodeKind::init, nullptr},
      deinit_{&owner_, CodeKind::deinit, nullptr} {}

std::expected<std::shared_ptr<Library>, std::string> Library::load(Host& host, LibraryFile file,
                                                                   const std::string& folder) {
  std::shared_ptr<Library> library(new Library(host, std::move(file.path), std::move(file.hash)));
  std::string problem = library->open(file.bytes, folder);
  if (problem.empty()) problem = library->check_entry();
  if (problem.empty()) problem = library->initialise();
  if (!problem.empty()) return std::unexpected(fmt::format("{}: {}", library->path(), problem));
  return library;
}

Library::~Library() {
  if (initialised_ && entry_->deinit != nullptr) {
    const CodeRun run(deinit_);
    try {
      entry_->deinit();
    } catch (...) {
      handle_.host->log(LogLevel::error, nullptr, {}, file_name_ + ": its deinit threw");
    }
  }
  if (object_ != nullptr) close();
}

// dlclose is a request: an object with STB_GNU_UNIQUE symbols, NODELETE or thread-local destructors stays.
void Library::close() {
  code_.reset();
  ::dlclose(object_);
  void* still = ::dlopen(copy_->path().c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (still == nullptr) return;
  ::dlclose(still);
  copy_->keep();
  handle_.host->log(LogLevel::warning, nullptr, {},
                    fmt::format("{}: its old code could not be unloaded and stays in memory; build it with "
                                "penstock_add_plugin, or with -fno-gnu-unique and without NODELETE",
                                file_name_));
}

// A folder that forbids execution (noexec) is found out by trying.
std::string Library::open(const std::string& bytes, const std::string& folder) {
  if (!folder.empty()) {
    const std::string stem = std::filesystem::path(path_).stem().string();
    if (open(PrivateCopy::in_folder(folder, stem, hash_, bytes)).empty()) return {};
  }
  return open(PrivateCopy::in_memory(file_name_, bytes));
}

std::string Library::open(std::optional<PrivateCopy> copy) {
  if (!copy) return "its private copy cannot be made";
  object_ = ::dlopen(copy->path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object_ == nullptr) return loading_problem(copy->path());
  copy_.emplace(std::move(*copy));
  code_.emplace(object_, file_name_);
  return {};
}

std::string Library::check_entry() {
  entry_ = static_cast<const gw_entry*>(::dlsym(object_, "gw_plugin_entry"));
  if (entry_ == nullptr) return "is no plugin of Penstock: it has no symbol gw_plugin_entry";
  if (entry_->magic != GW_MAGIC) return "its gw_plugin_entry is none of Penstock (wrong magic)";
  if (entry_->abi_major != GW_ABI_MAJOR) {
    return fmt::format("was built for plugin ABI {}.{}, this daemon ({}) has {}.{}", entry_->abi_major,
                       entry_->abi_minor, PENSTOCK_VERSION, GW_ABI_MAJOR, GW_ABI_MINOR);
  }
  if (entry_->struct_size < entry_size) return "its gw_plugin_entry is too short";
  if (entry_->plugins == nullptr || entry_->plugins[0] == nullptr) return "registers no plugin type";
  for (const gw_plugin* const* p = entry_->plugins; *p != nullptr; ++p) {
    if (std::string problem = check_plugin(**p); !problem.empty()) return problem;
    plugins_.push_back(*p);
  }
  return {};
}

std::string Library::initialise() {
  if (entry_->init != nullptr) {
    const CodeRun run(init_);
    try {
      const gw_rc rc = entry_->init(&handle_.abi);
      if (rc < 0) return fmt::format("its init failed ({})", rc);
    } catch (const std::exception& e) {
      return fmt::format("its init threw: {}", one_line(e.what()));
    } catch (...) {
      return "its init threw";
    }
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

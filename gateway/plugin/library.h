// One loaded shared object: a private copy of the file (so that overwriting the user's file crashes nobody
// and a changed file is really new code), opened, checked and initialised. Owned by the type sets and filters
// that use it; closed on the main thread when the last of them is gone. A refusal is one sentence.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock_plugin.h"
#include "plugin/plugin_code.h"
#include "plugin/private_copy.h"

namespace penstock::plugin {

class Host;

// The gw_host that this library got, with the way back to the daemon.
struct HostHandle {
  gw_host abi;  // first: a gw_host* of ours is a HostHandle*
  Host* host;
  const class Library* library;
};

// A file that may be one, read once and whole.
struct LibraryFile {
  std::string path;  // as in the configuration
  std::string bytes;
  std::string hash;  // of the bytes, in hex: what it is known by
};
// Or one sentence why not.
std::expected<LibraryFile, std::string> read_library(const std::string& path);

class Library {
 public:
  // Main thread. `folder` is for private copies; empty, or not to be used: the copy is kept in memory.
  static std::expected<std::shared_ptr<Library>, std::string> load(Host& host, LibraryFile file,
                                                                   const std::string& folder);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& path() const { return path_; }  // as in the configuration
  const std::string& file_name() const { return file_name_; }
  const std::string& hash() const { return hash_; }
  const std::vector<const gw_plugin*>& plugins() const { return plugins_; }

 private:
  Library(Host& host, std::string path, std::string hash);
  std::string open(const std::string& bytes, const std::string& folder);
  std::string open(std::optional<PrivateCopy> copy);
  void close();
  std::string check_entry();
  std::string initialise();
  std::string check_plugin(const gw_plugin& plugin) const;

  std::string path_, file_name_, hash_;
  HostHandle handle_;
  CodeOwner owner_;
  PluginCode init_, deinit_;
  std::optional<PrivateCopy> copy_;
  void* object_ = nullptr;
  std::optional<LoadedCode> code_;
  const gw_entry* entry_ = nullptr;
  bool initialised_ = false;
  std::vector<const gw_plugin*> plugins_;
};

}  // namespace penstock::plugin

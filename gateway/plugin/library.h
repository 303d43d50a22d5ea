// One loaded shared object: a private copy of the file (so that overwriting the user's file crashes nobody
// and a changed file is really new code), opened, checked and initialised. Owned by the type sets and filters
// that use it; closed on the main thread when the last of them is gone. A refusal is one sentence.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "penstock_plugin.h"

namespace penstock::plugin {

class Host;

// The gw_host that this library got, with the way back to the daemon.
struct HostHandle {
  gw_host abi;  // first: a gw_host* of ours is a HostHandle*
  Host* host;
  const class Library* library;
};

class Library {
 public:
  // Main thread. `state_dir` empty, or not to be written: the copy is kept in memory.
  static std::expected<std::shared_ptr<Library>, std::string> load(Host& host, const std::string& path,
                                                                   const std::string& state_dir);
  // What a file is known by: the hash of its bytes in hex, or a sentence.
  static std::expected<std::string, std::string> read(const std::string& path, std::string& bytes);

  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& path() const { return path_; }  // as in the configuration
  const std::string& file_name() const { return file_name_; }
  const std::string& hash() const { return hash_; }
  const std::vector<const gw_plugin*>& plugins() const { return plugins_; }

 private:
  Library(Host& host, std::string path, std::string hash);
  std::string open(const std::string& bytes, const std::string& state_dir);
  std::string open_copy(const std::string& bytes, const std::string& folder);
  std::string open_memory(const std::string& bytes);
  std::string check_entry();
  std::string check_plugin(const gw_plugin& plugin) const;

  std::string path_, file_name_, hash_;
  HostHandle handle_;
  void* object_ = nullptr;
  int memory_fd_ = -1;
  const gw_entry* entry_ = nullptr;
  bool initialised_ = false;
  std::vector<const gw_plugin*> plugins_;
};

}  // namespace penstock::plugin

// The bytes of a library where dlopen finds them and nobody else changes them: a file in the state folder
// whose name carries their hash, or memory where no file can be. Whoever uses a file holds a shared lock on
// it, so that several processes may use one folder, and the last user removes it. Main thread. Must not know
// what a plugin is.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace penstock::plugin {

class PrivateCopy {
 public:
  // nullopt: the folder cannot be made, written or locked.
  static std::optional<PrivateCopy> in_folder(const std::string& folder, std::string_view stem,
                                              std::string_view hash, std::string_view bytes);
  static std::optional<PrivateCopy> in_memory(std::string_view name, std::string_view bytes);
  // Removes what processes that ended badly have left in the folder.
  static void sweep(const std::string& folder);

  PrivateCopy(PrivateCopy&& other) noexcept;
  PrivateCopy& operator=(PrivateCopy&&) = delete;
  // Gives the file up, and removes it when nobody else uses it. What is mapped from it stays mapped.
  ~PrivateCopy();

  const std::string& path() const { return path_; }  // for dlopen
  // The code stays loaded: its file, or the descriptor that its name counts by, must not become another's.
  void keep() { kept_ = true; }

 private:
  enum class Kind : bool { file, memory };
  PrivateCopy(Kind kind, int fd, std::string path) : kind_(kind), fd_(fd), path_(std::move(path)) {}
  static int lock_existing(const std::string& path, std::string_view bytes);
  static bool write_new(const std::string& path, std::string_view bytes);

  Kind kind_;
  int fd_;
  std::string path_;
  bool kept_ = false;
};

}  // namespace penstock::plugin

// Tells when files have changed: by their names, links followed, asked every interval with stat(2) on libuv's
// thread pool. So it sees what events miss: a renamed folder, an exchanged link, a network file system. A
// change is told once it has come to rest (two answers alike), because a certificate and its key are rarely
// written at once. Owned by the control plane; main thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/timer.h"

namespace penstock::net {

class Loop;

// What tells one state of a file from another.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t changed_ns = 0, modified_ns = 0;
  int system_errno = 0;  // not 0: it cannot be looked at
  bool operator==(const FileStamp&) const = default;
  static FileStamp of(const std::string& path);  // blocks
};

struct WatchedFile {
  std::string path;
  FileStamp stamp;  // as it was when its content was read, taken before that
};

class FileWatch {
 public:
  // fn gets the changed ones, never inside a call of the owner's; it usually ends with watch().
  using OnChange = std::function<void(const std::vector<std::string>& paths)>;
  FileWatch(Loop& loop, uint64_t interval_ms, OnChange fn);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // In place of what was watched; none: nothing is asked any more.
  void watch(std::vector<WatchedFile> files);

 private:
  struct Round;
  struct File {
    WatchedFile known;
    FileStamp last;  // of the last round
  };
  void ask();
  void answered(Round& round);

  Loop& loop_;
  uint64_t interval_ms_;
  OnChange fn_;
  std::vector<File> files_;
  uint64_t generation_ = 0;  // of the list: an answer for an older one is dropped
  Round* round_ = nullptr;   // under way; its own until it is over
  Timer timer_;
};

}  // namespace penstock::net

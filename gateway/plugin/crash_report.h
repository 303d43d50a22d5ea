// What the daemon says before it dies of a fatal signal: which thread, and whose hook it ran, for which route
// and request. One line on standard error, made without memory or locks; then the signal has its default
// action, so that a core shows the very place.
#pragma once
#include <memory>

namespace penstock::plugin {

// For the life of the process, from the main thread. Sanitizers' own reports still follow ours.
void report_crashes();

// One of the gateway's own threads, while it lives, on that thread: named as such in the report, which has a
// stack of its own to run on, so that a hook without an end to its recursion is named, too.
class OwnThread {
 public:
  OwnThread();
  ~OwnThread();
  OwnThread(const OwnThread&) = delete;
  OwnThread& operator=(const OwnThread&) = delete;

 private:
  std::unique_ptr<char[]> stack_;  // null: the thread had one
};

}  // namespace penstock::plugin

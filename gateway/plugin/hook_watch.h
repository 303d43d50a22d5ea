// Watches how long hooks keep their workers: one over the bound (limits.plugin_hook) is named in the log and
// counted, once, while it still runs, and once more in the log when it has come to an end. Main thread; a
// look is a few loads a worker, and no worker does anything for it. Owned by the server, and stopped before
// the workers' threads end.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "net/timer.h"
#include "plugin/host.h"

namespace penstock::plugin {

class HookWatch {
 public:
  HookWatch(net::Loop& loop, Host& host);

  void set_bound(uint64_t bound_ms);  // begins, or goes on with another bound
  void stop() { timer_.stop(); }

 private:
  // What a worker was seen to run.
  struct Seen {
    const PluginCode* code = nullptr;
    uint64_t call = 0;
    uint64_t for_ms = 0;
    bool told = false;
    std::string what;  // once it is told: "on_request_headers of plugin x ..."
  };
  void look();
  void look_at(uint32_t worker, const RunningCode& running, uint64_t passed_ms);
  void tell(uint32_t worker, Seen& seen, const RunningCode& running);
  void tell_end(uint32_t worker, const Seen& seen) const;
  uint64_t period_ms() const;

  net::Loop& loop_;
  Host& host_;
  net::Timer timer_;
  uint64_t bound_ms_ = 0, looked_ms_ = 0;
  std::vector<Seen> seen_;  // by worker
};

}  // namespace penstock::plugin

// Who uses which version: requests and the last of them by version and consumer. Each worker counts in a
// table of its own; what a worker leaves behind stands in the host's store, by names, so that it survives
// reloads. Consumers are those of the configuration; all other identities are one, and so is nobody.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "penstock_plugin.hpp"

namespace api_version {

class Use {
 public:
  static constexpr size_t most_cells = 1u << 20;  // of one worker; with more only versions are told apart

  Use(gw::setup& setup, std::vector<std::string> versions);
  Use(Use&&) noexcept;
  ~Use();

  struct Cell {
    std::atomic<uint64_t> requests{0};
    std::atomic<int64_t> last_s{0};
  };
  // One worker's counts. Its thread alone adds.
  class Counts {
   public:
    explicit Counts(Use& use);
    ~Counts();
    void add(size_t version, std::string_view consumer, int64_t now_s);

   private:
    friend class Use;
    Use& use_;
    std::unique_ptr<Cell[]> cells_;
  };

  // Main thread: the members "versions":[...] of the instance's status.
  std::string json() const;

 private:
  struct Sum {
    uint64_t requests = 0;
    int64_t last_s = 0;
  };
  size_t index_of(std::string_view consumer) const;
  size_t columns() const { return names_.size(); }
  void leave(const Counts& counts);
  Sum left(size_t cell, std::string* text = nullptr) const;  // by workers that are gone
  std::string key(size_t cell) const;

  gw::instance self_;
  std::vector<std::string> versions_;
  std::vector<std::string> names_;  // of consumers; the last two are others and nobody
  std::unordered_map<std::string_view, size_t> by_name_;
  mutable std::unique_ptr<std::mutex> mutex_;  // guards workers_
  std::vector<const Counts*> workers_;
};

}  // namespace api_version

// Interned names: text to a small stable id and back. Main thread interns (while a snapshot is built), any
// thread reads an id that reached it through a published snapshot: entries never move and never change, so
// reading takes no lock.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace penstock::proxy {

template <class T>
class NameTable {
 public:
  static constexpr uint32_t chunk = 256;
  static constexpr uint32_t max_names = 64 * chunk;

  // 0 when the table is full. make(name) builds the entry, once a name.
  template <class Make>
  uint32_t intern(std::string_view name, Make make) {
    std::lock_guard lock(mutex_);
    if (auto it = ids_.find(name); it != ids_.end()) return it->second;
    uint32_t id = size_.load(std::memory_order_relaxed) + 1;
    if (id >= max_names) return 0;
    auto& slot = chunks_[id / chunk];
    if (!slot) slot = std::make_unique<std::array<T, chunk>>();
    (*slot)[id % chunk] = make(name);
    ids_.emplace(std::string(name), id);
    size_.store(id, std::memory_order_release);
    return id;
  }
  // 0 when nobody interned it. Takes a lock: never once a request.
  uint32_t find(std::string_view name) const {
    std::lock_guard lock(mutex_);
    auto it = ids_.find(name);
    return it == ids_.end() ? 0 : it->second;
  }
  // Null for 0 and for ids never given out.
  const T* get(uint32_t id) const {
    if (id == 0 || id > size_.load(std::memory_order_acquire)) return nullptr;
    return &(*chunks_[id / chunk])[id % chunk];
  }
  // Grows with every new name: equal means that nothing was interned in between.
  uint32_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, uint32_t, std::less<>> ids_;
  std::array<std::unique_ptr<std::array<T, chunk>>, max_names / chunk> chunks_;
  std::atomic<uint32_t> size_{0};
};

}  // namespace penstock::proxy

// The life of plugin instances: an instance whose configuration is gone is destroyed when nobody works for it
// any more, on the main thread, and its library after it. Owned by the Host. Main thread, but for what is
// marked.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "plugin/handles.h"

namespace penstock::plugin {

// Keeps an instance: for work that outlives the request it was begun for. Any thread.
class Pin {
 public:
  explicit Pin(gw_instance& instance);  // while somebody else keeps it
  Pin(Pin&& other) noexcept : instance_(std::exchange(other.instance_, nullptr)) {}
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  Pin& operator=(Pin&&) = delete;
  ~Pin();

 private:
  gw_instance* instance_;
};

class Instances {
 public:
  // `main` null: there is no loop, so nothing outlives anything.
  explicit Instances(net::Loop* main) : main_(main) {}
  ~Instances();  // after everybody who could hold a pin

  // Its configuration is gone: it is destroyed now, or with its last pin.
  void retire(std::unique_ptr<gw_instance> instance);
  size_t retired() const { return retired_.size(); }
  void last_pin_gone(const gw_instance& instance);  // any thread

 private:
  void bury(const gw_instance* instance);
  net::Loop* main_;
  std::vector<std::unique_ptr<gw_instance>> retired_;
};

}  // namespace penstock::plugin

// Base of every object of net/ that libuv knows, reached through uv_handle_t::data: lets a loop that ends
// close what is left. Private to net/.
#pragma once

namespace penstock::net {

class LoopHandle {
 public:
  virtual void loop_ends() = 0;  // close your handles; at most once

 protected:
  ~LoopHandle() = default;
};

}  // namespace penstock::net

#include "net/signals.h"

#include <uv.h>

#include <utility>

#include "net/loop.h"
#include "net/loop_handle.h"

namespace penstock::net {
namespace {

// The loop side of one signal number; freed in its close callback. It shares the function so that a handler
// may destroy the Signals.
struct SignalHandle final : LoopHandle {
  SignalHandle(Loop& loop, int number, std::shared_ptr<std::function<void(int)>> handler)
      : fn(std::move(handler)) {
    uv_signal_init(loop.raw(), &handle);
    handle.data = static_cast<LoopHandle*>(this);
    uv_signal_start(
        &handle,
        [](uv_signal_t* raw, int caught) {
          auto keep = static_cast<SignalHandle*>(static_cast<LoopHandle*>(raw->data))->fn;
          if (keep && *keep) (*keep)(caught);
        },
        number);
  }
  void loop_ends() override {
    fn.reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* raw) {
      delete static_cast<SignalHandle*>(static_cast<LoopHandle*>(raw->data));
    });
  }

  std::shared_ptr<std::function<void(int)>> fn;
  uv_signal_t handle;
};

}  // namespace

struct Signals::State {
  std::vector<SignalHandle*> handles;
};

Signals::Signals(Loop& loop, std::vector<int> numbers, std::function<void(int)> fn)
    : state_(std::make_unique<State>()) {
  auto shared = std::make_shared<std::function<void(int)>>(std::move(fn));
  for (int number : numbers) state_->handles.push_back(new SignalHandle(loop, number, shared));
}

Signals::~Signals() {
  for (SignalHandle* handle : state_->handles) handle->loop_ends();
}

}  // namespace penstock::net

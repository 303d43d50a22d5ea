#include "net/precise_timer.h"

#include <uv.h>

#include "net/loop.h"
#include "net/loop_handle.h"

namespace penstock::net {

struct PreciseTimer::Handle final : LoopHandle {
  Handle(Loop& loop, Callback callback, void* who) : fn(callback), owner(who) {
    uv_timer_init(loop.raw(), &timer);
    timer.data = static_cast<LoopHandle*>(this);
  }
  void loop_ends() override { close(); }
  void close() {
    fn = nullptr;
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&timer)) != 0) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), [](uv_handle_t* handle) {
      delete static_cast<Handle*>(static_cast<LoopHandle*>(handle->data));
    });
  }
  static void fire(uv_timer_t* timer) {
    const auto& self = *static_cast<Handle*>(static_cast<LoopHandle*>(timer->data));
    if (self.fn != nullptr) self.fn(self.owner);
  }
  uv_timer_t timer{};
  Callback fn;
  void* owner;
};

PreciseTimer::PreciseTimer(Loop& loop, Callback fn, void* owner) : handle_(new Handle(loop, fn, owner)) {}

PreciseTimer::~PreciseTimer() { handle_->close(); }

void PreciseTimer::start(uint64_t delay_ms) { uv_timer_start(&handle_->timer, &Handle::fire, delay_ms, 0); }

void PreciseTimer::stop() { uv_timer_stop(&handle_->timer); }

bool PreciseTimer::running() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&handle_->timer)) != 0;
}

}  // namespace penstock::net

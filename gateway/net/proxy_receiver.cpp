#include "net/proxy_receiver.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "net/descriptor.h"
#include "net/loop.h"
#include "net/loop_handle.h"
#include "net/timer.h"

namespace penstock::net {

// The loop side: lives until its close callback came and the receiver is gone, whichever is later. The poll
// handle is closed before anybody is told: libuv must have let go of the descriptor when another handle
// takes it.
struct ProxyReceiver::Handle final : LoopHandle, Task {
  Handle(Loop& on, int descriptor, uint64_t timeout_ms, Done done, void* done_owner)
      : loop(on), fd(descriptor), fn(done), owner(done_owner), timer(on, on_timeout, this) {
    polled = uv_poll_init(loop.raw(), &poll, fd) == 0;
    poll.data = static_cast<LoopHandle*>(this);
    if (polled)
      uv_poll_start(&poll, UV_READABLE, on_poll);
    else
      loop.schedule(*this);
    timer.start(timeout_ms);
  }

  static Handle& from(void* data) { return *static_cast<Handle*>(static_cast<LoopHandle*>(data)); }
  static void on_timeout(void* self) { static_cast<Handle*>(self)->finish(ProxyHeaderEnd::timeout); }
  static void on_poll(uv_poll_t* raw, int status, int) {
    Handle& self = from(raw->data);
    if (status < 0)
      self.finish(ProxyHeaderEnd::closed);
    else
      self.look();
  }
  void run_task() override { finish(ProxyHeaderEnd::closed); }
  void loop_ends() override { stop_polling(); }

  // Looks at what came, and takes no byte more than belongs to the header.
  void look() {
    std::array<char, max_proxy_header_v2> bytes;
    std::copy(taken.begin(), taken.end(), bytes.begin());
    char* fresh = bytes.data() + taken.size();
    ssize_t size = ::recv(fd, fresh, bytes.size() - taken.size(), MSG_PEEK);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return finish(ProxyHeaderEnd::closed);
    size_t all = taken.size() + static_cast<size_t>(size);
    ProxyHeaderRead read = read_proxy_header({bytes.data(), all}, header);
    if (read.state == ProxyHeaderRead::State::malformed) return finish(ProxyHeaderEnd::malformed);
    bool done = read.state == ProxyHeaderRead::State::done;
    size_t used = (done ? read.size : all) - taken.size();
    if (::recv(fd, fresh, used, 0) != static_cast<ssize_t>(used)) return finish(ProxyHeaderEnd::closed);
    if (done) return finish(ProxyHeaderEnd::good);
    taken.append(fresh, used);
  }

  void finish(ProxyHeaderEnd end) {
    timer.stop();
    stop_polling();
    if (fn) std::exchange(fn, nullptr)(owner, end);  // last: may destroy the receiver
  }

  void stop_polling() {
    if (!polled || std::exchange(closing, true)) return;
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), [](uv_handle_t* raw) {
      Handle& self = from(raw->data);
      self.polled = false;
      if (!self.owned) delete &self;
    });
  }

  void leave() {
    owned = false;
    fn = nullptr;
    timer.stop();
    cancel();
    stop_polling();
    if (fd >= 0) ::close(fd);
    if (!polled) bury();
  }
  // Not inside the frame of whoever let go.
  void bury() {
    struct Grave final : Deferred {
      explicit Grave(Handle* of) : handle(of) {}
      std::unique_ptr<Handle> handle;
    };
    loop.defer_delete(std::make_unique<Grave>(this));
  }

  Loop& loop;
  int fd;
  Done fn;
  void* owner;
  ProxyHeader header;
  std::string taken;    // of a header that comes in pieces
  bool polled = false;  // libuv knows the handle
  bool closing = false;
  bool owned = true;
  Timer timer;
  uv_poll_t poll;
};

ProxyReceiver::ProxyReceiver(Loop& loop, int fd, uint64_t timeout_ms, Done fn, void* owner)
    : handle_(new Handle(loop, fd, timeout_ms, fn, owner)) {}

ProxyReceiver::~ProxyReceiver() { handle_->leave(); }

void ProxyReceiver::hurry(uint64_t timeout_ms) { handle_->timer.start(timeout_ms); }

bool ProxyReceiver::input_waits() const { return net::input_waits(handle_->fd); }

const ProxyHeader& ProxyReceiver::header() const { return handle_->header; }

int ProxyReceiver::release() { return std::exchange(handle_->fd, -1); }

}  // namespace penstock::net

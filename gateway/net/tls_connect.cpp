// A connection to a server until its session is open: TCP, then the handshake, with one deadline.
#include <algorithm>
#include <utility>

#include "base/reason.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/tls_client_transport.h"

namespace penstock::net {
namespace {

class TlsConnect final : public Connect, private TransportHandler, private TlsClientStart {
 public:
  TlsConnect(Loop& loop, const Address& to, uint64_t timeout_ms,
             std::shared_ptr<const TlsClientContext> context, TlsPeer& peer, Done fn, void* owner)
      : loop_(loop),
        context_(std::move(context)),
        peer_(peer),
        fn_(fn),
        owner_(owner),
        deadline_ms_(timeout_ms > 0 ? loop.now_ms() + timeout_ms : 0),
        timer_(
            loop, [](void* self) { static_cast<TlsConnect*>(self)->on_timeout(); }, this),
        tcp_(connect_tcp(loop, to, timeout_ms, on_tcp, this)) {}

 private:
  static void on_tcp(void* raw, Result<std::unique_ptr<Transport>> result) {
    auto& self = *static_cast<TlsConnect*>(raw);
    if (!result) return self.fn_(self.owner_, std::unexpected(result.error()));
    self.transport_ =
        std::make_unique<TlsClientTransport>(self.loop_, std::move(*result), std::move(self.context_),
                                             self.peer_, static_cast<TlsClientStart&>(self));
    self.transport_->set_handler(&self);
    const uint64_t now = self.loop_.now_ms();
    if (self.deadline_ms_ > 0) self.timer_.start(self.deadline_ms_ > now ? self.deadline_ms_ - now : 1);
    self.transport_->begin();
  }

  void on_established() override {
    timer_.stop();
    fn_(owner_, std::unique_ptr<Transport>(std::move(transport_)));
  }
  void on_error(const Error& error) override {
    Error copy = error;
    copy.source = ErrorSource::upstream;
    copy.retry = Retry::yes;
    if (copy.kind != ErrorKind::tls) copy.reason = reason::upstream_tls_handshake;
    fail(copy);
  }
  void on_timeout() {
    fail({ErrorKind::timeout, ErrorSource::upstream, Retry::yes, reason::upstream_connect_timeout,
          "the TLS handshake was not over in time"});
  }
  void fail(const Error& error) {
    timer_.stop();
    transport_.reset();
    fn_(owner_, std::unexpected(error));
  }
  // Nothing is read before it is somebody else's.
  void on_read(std::span<const char>) override {}
  void on_read_end() override {}
  void on_drained() override {}

  Loop& loop_;
  std::shared_ptr<const TlsClientContext> context_;
  TlsPeer& peer_;
  Done fn_;
  void* owner_;
  uint64_t deadline_ms_;  // 0: none
  Timer timer_;
  std::unique_ptr<TlsClientTransport> transport_;
  std::unique_ptr<Connect> tcp_;
};

}  // namespace

std::unique_ptr<Connect> connect_tls(Loop& loop, const Address& to, uint64_t timeout_ms,
                                     std::shared_ptr<const TlsClientContext> context, TlsPeer& peer,
                                     Connect::Done fn, void* owner) {
  return std::make_unique<TlsConnect>(loop, to, timeout_ms, std::move(context), peer, fn, owner);
}

}  // namespace penstock::net

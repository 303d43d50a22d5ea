#include "upstream/connector.h"

#include <algorithm>

#include "base/reason.h"
#include "net/tcp_transport.h"
#include "net/timer.h"

namespace penstock::upstream {
namespace {

// So long a connection waits for a descriptor: a client that has just come is left some time to speak before
// it gives its own, and one of another worker is asked for through the main thread.
constexpr uint64_t descriptor_wait_ms = 500;
// The next try, when a client has given its own and when nobody has.
constexpr uint64_t given_ms = 5, none_ms = 50;

class NewConnection final : public Connector::Pending, private http::UpstreamStart {
 public:
  NewConnection(net::Loop& loop, const ClusterSettings& settings, ConnectCounters& counters,
                net::TlsPeer& peer, http::UpstreamOwner& owner, DescriptorOwner* descriptors,
                Connector::Done done, void* who)
      : loop_(loop),
        settings_(settings),
        counters_(counters),
        peer_(peer),
        owner_(owner),
        descriptors_(descriptors),
        done_(done),
        who_(who) {}

  ~NewConnection() override {
    if (!made_) return;
    done_ = nullptr;
    made_->close();
  }

  void start(const net::Address& to, uint64_t timeout_ms) {
    to_ = to;
    deadline_ms_ = loop_.now_ms() + timeout_ms;
    wait_until_ms_ = loop_.now_ms() + std::min(timeout_ms, descriptor_wait_ms);
    connect(timeout_ms);
  }

 private:
  void connect(uint64_t timeout_ms) {
    if (settings_.tls)
      connect_ =
          net::connect_tls(loop_, to_, timeout_ms, settings_.tls, peer_, &NewConnection::on_connected, this);
    else
      connect_ = net::connect_tcp(loop_, to_, timeout_ms, &NewConnection::on_connected, this);
  }
  void connect_again() {
    uint64_t now = loop_.now_ms();
    connect(deadline_ms_ > now ? deadline_ms_ - now : 1);
  }

  // A request has come so far: one client that keeps us waiting gives way to it.
  bool wait_for_descriptor() {
    if (!descriptors_ || loop_.now_ms() >= wait_until_ms_) return false;
    again_.start(descriptors_->descriptor_wanted() ? given_ms : none_ms);
    return true;
  }

  static void on_connected(void* self, Result<std::unique_ptr<net::Transport>> result) {
    auto& pending = *static_cast<NewConnection*>(self);
    if (!result && result.error().limit == Limit::descriptors && pending.wait_for_descriptor()) return;
    if (!result) return pending.done_(pending.who_, std::unexpected(result.error()));
    pending.speak(std::move(*result));
  }

  void speak(std::unique_ptr<net::Transport> transport) {
    const net::TlsInfo* tls = transport->tls();
    if (tls) counters_.count(*tls);
    const bool chose_http2 = tls && tls->alpn == "h2";
    const http::Protocol asked = settings_.http.protocol;
    // RFC 9113 3.2: over TLS nobody is spoken to in HTTP/2 who did not agree to it.
    if (asked == http::Protocol::http2 && tls && !chose_http2)
      return done_(who_, std::unexpected(no_http2()));
    if (asked == http::Protocol::http2 || (asked == http::Protocol::by_alpn && chose_http2))
      return begin_http2(std::move(transport));
    done_(who_, http::make_http1_upstream(loop_, std::move(transport), settings_.http, owner_));
  }
  static Error no_http2() {
    return {ErrorKind::tls, ErrorSource::upstream, Retry::yes, reason::upstream_tls_protocol,
            "the backend does not choose HTTP/2 (ALPN)"};
  }

  // Connected is who can be spoken to: what does not speak HTTP/2 fails here, where no request was sent yet.
  void begin_http2(std::unique_ptr<net::Transport> transport) {
    uint64_t now = loop_.now_ms();
    late_.start(deadline_ms_ > now ? deadline_ms_ - now : 1);
    made_ = http::make_http2_upstream(loop_, std::move(transport), settings_.http, owner_, *this);
  }
  void on_usable(http::UpstreamConnection&) override {
    late_.stop();
    done_(who_, std::move(made_));
  }
  void on_unusable(http::UpstreamConnection&, const Error& error) override {
    late_.stop();
    loop_.defer_delete(std::move(made_));
    if (done_) done_(who_, std::unexpected(too_late_ ? too_late() : error));
  }
  void on_late() {
    too_late_ = true;
    made_->close();
  }
  static Error too_late() {
    return {ErrorKind::timeout, ErrorSource::upstream, Retry::yes, reason::upstream_connect_timeout,
            "the backend did not begin to speak HTTP/2 in time"};
  }

  net::Loop& loop_;
  const ClusterSettings& settings_;
  ConnectCounters& counters_;
  net::TlsPeer& peer_;
  http::UpstreamOwner& owner_;
  DescriptorOwner* descriptors_;
  Connector::Done done_;
  void* who_;
  net::Address to_;
  uint64_t deadline_ms_ = 0, wait_until_ms_ = 0;
  net::Timer again_{loop_, [](void* self) { static_cast<NewConnection*>(self)->connect_again(); }, this};
  std::unique_ptr<net::Connect> connect_;
  std::unique_ptr<http::UpstreamConnection> made_;  // not usable yet
  net::Timer late_{loop_, [](void* self) { static_cast<NewConnection*>(self)->on_late(); }, this};
  bool too_late_ = false;
};

class NetConnector final : public Connector {
 public:
  NetConnector(net::Loop& loop, const ClusterSettings& settings, ConnectCounters& counters,
               DescriptorOwner* descriptors)
      : loop_(loop), settings_(settings), counters_(counters), descriptors_(descriptors) {}

  std::unique_ptr<Pending> connect(const net::Address& to, net::TlsPeer& peer, uint64_t timeout_ms,
                                   http::UpstreamOwner& owner, Done done, void* who) override {
    auto pending =
        std::make_unique<NewConnection>(loop_, settings_, counters_, peer, owner, descriptors_, done, who);
    pending->start(to, timeout_ms);
    return pending;
  }

 private:
  net::Loop& loop_;
  const ClusterSettings& settings_;
  ConnectCounters& counters_;
  DescriptorOwner* descriptors_;
};

}  // namespace

std::unique_ptr<Connector> make_connector(net::Loop& loop, const ClusterSettings& settings,
                                          ConnectCounters& counters, DescriptorOwner* descriptors) {
  return std::make_unique<NetConnector>(loop, settings, counters, descriptors);
}

}  // namespace penstock::upstream

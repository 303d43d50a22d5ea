#include "upstream/connector.h"

#include "net/tcp_transport.h"

namespace penstock::upstream {
namespace {

class TcpPending final : public Connector::Pending {
 public:
  TcpPending(net::Loop& loop, const http::UpstreamSettings& settings, http::UpstreamOwner& owner,
             Connector::Done done, void* who)
      : loop_(loop), settings_(settings), owner_(owner), done_(done), who_(who) {}

  void start(const net::Address& to, uint64_t timeout_ms) {
    connect_ = net::connect_tcp(loop_, to, timeout_ms, &TcpPending::on_connected, this);
  }

 private:
  static void on_connected(void* self, Result<std::unique_ptr<net::Transport>> result) {
    auto& pending = *static_cast<TcpPending*>(self);
    if (!result) return pending.done_(pending.who_, std::unexpected(result.error()));
    pending.done_(pending.who_, http::make_http1_upstream(pending.loop_, std::move(*result),
                                                          pending.settings_, pending.owner_));
  }

  net::Loop& loop_;
  const http::UpstreamSettings& settings_;
  http::UpstreamOwner& owner_;
  Connector::Done done_;
  void* who_;
  std::unique_ptr<net::Connect> connect_;
};

class TcpConnector final : public Connector {
 public:
  TcpConnector(net::Loop& loop, const http::UpstreamSettings& settings) : loop_(loop), settings_(settings) {}

  std::unique_ptr<Pending> connect(const net::Address& to, uint64_t timeout_ms, http::UpstreamOwner& owner,
                                   Done done, void* who) override {
    auto pending = std::make_unique<TcpPending>(loop_, settings_, owner, done, who);
    pending->start(to, timeout_ms);
    return pending;
  }

 private:
  net::Loop& loop_;
  const http::UpstreamSettings& settings_;
};

}  // namespace

std::unique_ptr<Connector> make_tcp_connector(net::Loop& loop, const http::UpstreamSettings& settings) {
  return std::make_unique<TcpConnector>(loop, settings);
}

}  // namespace penstock::upstream

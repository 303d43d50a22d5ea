// The status listener: /livez, /readyz and /metrics for kubelets and Prometheus, read only and without a
// token, on the main loop so that it answers whatever the workers do. Never tells a consumer's name, a
// configuration or a request. Owned by the server; asks it through StatusSource.
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/limit.h"
#include "config/config.h"
#include "http/connection.h"
#include "net/listener.h"

namespace penstock::server {

class StatusSource {
 public:
  // Whether traffic should be sent here; called once for each /readyz.
  virtual bool ready() = 0;
  // The metrics as Prometheus text, later.
  virtual void collect(std::function<void(std::string)> done) = 0;

 protected:
  ~StatusSource() = default;
};

class StatusListener final : private http::DownstreamOwner {
 public:
  // Bound, not accepting yet; or one line that says what to do.
  static std::expected<std::unique_ptr<StatusListener>, std::string> bind(net::Loop& loop,
                                                                          StatusSource& source,
                                                                          const config::Status& status);
  ~StatusListener();

  void start();
  void set_max_connections(uint32_t most) { max_connections_ = most; }
  const LimitCounts& limits() const { return limits_; }
  const config::Address& configured() const { return configured_; }
  const net::Address& address() const { return socket_.address(); }

 private:
  class Request;
  StatusListener(net::Loop& loop, StatusSource& source, const config::Status& status,
                 net::ListenSocket socket);
  http::StreamHandler& on_stream(http::Stream& stream, http::DownstreamConnection& connection) override;
  void on_closed(http::DownstreamConnection& connection) override;
  static void accepted(void* self, int descriptor, const net::Address& peer);

  bool make_room();
  net::Loop& loop_;
  StatusSource& source_;
  config::Address configured_;
  uint32_t max_connections_;
  LimitCounts limits_;
  net::ListenSocket socket_;
  http::DownstreamSettings settings_;
  std::unique_ptr<net::Acceptor> acceptor_;
  std::set<http::DownstreamConnection*> connections_;  // there are few
  size_t open_ = 0;
};

}  // namespace penstock::server

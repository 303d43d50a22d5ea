// A small HTTP/1.1 server for operators and their tools, on the main loop so that it answers whatever the
// workers do: the status listener and the admin API. GET and HEAD alone; bounded connections, of which the
// one that is silent longest makes room. Owned by the server.
#pragma once
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/limit.h"
#include "config/config.h"
#include "http/connection.h"
#include "net/listener.h"

namespace penstock::server {

struct LocalAnswer {
  uint16_t status = 200;                                        // 404: nothing is there, the rest is made
  std::string_view content_type = "text/plain; charset=utf-8";  // static
  std::string body;
};

class LocalHandler {
 public:
  // `done` once, at once or later, on the main loop; harmless when the client is gone by then.
  virtual void serve(std::string_view path, std::function<void(LocalAnswer)> done) = 0;

 protected:
  ~LocalHandler() = default;
};

struct LocalSettings {
  std::string name;  // of the key in the configuration
  config::Address address;
  uint32_t max_connections = 100;
  uint32_t socket_mode = 0660;
  Limit limit = Limit::none;  // counted when max_connections is reached
};

std::optional<LocalSettings> status_settings(const config::Config& config);
std::optional<LocalSettings> admin_settings(const config::Config& config);

class LocalService final : private http::DownstreamOwner {
 public:
  // Bound, not accepting yet; or one line that says what to do. `handler` outlives it.
  static std::expected<std::unique_ptr<LocalService>, std::string> bind(net::Loop& loop,
                                                                        LocalHandler& handler,
                                                                        const LocalSettings& settings);
  ~LocalService();

  void start();
  void set_max_connections(uint32_t most) { settings_.max_connections = most; }
  const LimitCounts& limits() const { return limits_; }
  const config::Address& configured() const { return settings_.address; }
  const net::Address& address() const { return socket_.address(); }

 private:
  class Request;
  LocalService(net::Loop& loop, LocalHandler& handler, const LocalSettings& settings,
               net::ListenSocket socket);
  http::StreamHandler& on_stream(http::Stream& stream, http::DownstreamConnection& connection) override;
  void on_closed(http::DownstreamConnection& connection) override;
  static void accepted(void* self, int descriptor, const net::Address& peer);

  bool make_room();
  net::Loop& loop_;
  LocalHandler& handler_;
  LocalSettings settings_;
  LimitCounts limits_;
  net::ListenSocket socket_;
  http::DownstreamSettings http_;
  std::unique_ptr<net::Acceptor> acceptor_;
  std::set<http::DownstreamConnection*> connections_;  // there are few
  size_t open_ = 0;
};

}  // namespace penstock::server

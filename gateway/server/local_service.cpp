#include "server/local_service.h"

#include <unistd.h>

#include "base/reason.h"
#include "net/tcp_transport.h"
#include "server/listen_sockets.h"

namespace penstock::server {

// One request. Deletes itself through the loop when it is answered or lost.
class LocalService::Request final : public net::Deferred, public http::StreamHandler {
 public:
  Request(net::Loop& loop, LocalHandler& handler, http::Stream& stream)
      : loop_(loop), handler_(handler), stream_(&stream), alive_(std::make_shared<Request*>(this)) {}
  ~Request() override { *alive_ = nullptr; }

 private:
  void on_head(http::Message& head, http::EndStream end) override {
    head_request_ = head.method == http::Method::head;
    if (end == http::EndStream::no) stream_->close_after();  // nobody reads that body
    if (head.method != http::Method::get && !head_request_) return refuse(405, "route.method");
    handler_.serve(head.path, [alive = alive_](LocalAnswer answer) {
      if (*alive) (*alive)->take(std::move(answer));
    });
  }
  void on_bad_head(const Error& error, http::Message&) override {
    stream_->close_after();
    refuse(status_of(error.reason), error.reason);
  }
  void on_informational(http::Message&) override {}
  void on_data(std::string_view) override {}
  void on_trailers(http::Headers&) override {}
  void on_end() override {}
  void on_turn_end() override {}
  void on_drained() override {}
  void on_reset(const Error&) override { done(); }

  void take(LocalAnswer answer) {
    if (answer.status == 404) return refuse(404, reason::route_none);
    this->answer(std::move(answer));
  }
  void refuse(uint16_t status, std::string_view code) {
    std::string body = "{\"type\":\"about:blank\",\"title\":\"";
    body += status_phrase(status);
    body += "\",\"status\":" + std::to_string(status) + ",\"reason\":\"";
    body += code;
    body += "\"}\n";
    answer({status, "application/problem+json", std::move(body)});
  }

  void answer(LocalAnswer answer) {
    http::Message head(stream_->arena());
    head.status = answer.status;
    head.headers.add(http::HeaderId::content_type, answer.content_type);
    head.headers.add(http::HeaderId::cache_control, "no-store");
    if (answer.status == 405) head.headers.add(http::HeaderId::allow, "GET, HEAD");
    head.has_content_length = true;
    head.content_length = answer.body.size();
    head.body = head_request_ ? http::BodyKind::none : http::BodyKind::length;
    stream_->send_head(head, head_request_ ? http::EndStream::yes : http::EndStream::no);
    if (!head_request_) {
      stream_->send_data(answer.body);
      stream_->send_end();
    }
    stream_->flush();
    http::Stream* stream = stream_;
    done();
    stream->release();
  }

  void done() {
    *alive_ = nullptr;
    loop_.defer_delete(std::unique_ptr<net::Deferred>(this));
  }

  net::Loop& loop_;
  LocalHandler& handler_;
  http::Stream* stream_;
  bool head_request_ = false;
  std::shared_ptr<Request*> alive_;  // null in it: an answer that comes later finds nobody
};

std::expected<std::unique_ptr<LocalService>, std::string> LocalService::bind(net::Loop& loop,
                                                                             LocalHandler& handler,
                                                                             const LocalSettings& settings) {
  auto socket = bind_free(settings.address, settings.socket_mode, 128);
  if (!socket)
    return std::unexpected(bind_failure(settings.name, address_text(settings.address), socket.error()));
  return std::unique_ptr<LocalService>(new LocalService(loop, handler, settings, std::move(*socket)));
}

LocalService::LocalService(net::Loop& loop, LocalHandler& handler, const LocalSettings& settings,
                           net::ListenSocket socket)
    : loop_(loop), handler_(handler), settings_(settings), socket_(std::move(socket)) {}

LocalService::~LocalService() {
  acceptor_.reset();
  for (http::DownstreamConnection* connection : std::set(connections_)) connection->close();
}

void LocalService::start() { acceptor_ = std::make_unique<net::Acceptor>(loop_, socket_, accepted, this); }

void LocalService::accepted(void* owner, int descriptor, const net::Address& peer) {
  LocalService& self = *static_cast<LocalService*>(owner);
  if (self.open_ >= self.settings_.max_connections) {
    self.limits_.add(self.settings_.limit);
    if (!self.make_room()) {
      ::close(descriptor);
      return;
    }
  }
  ++self.open_;
  auto connection = http::make_http1_downstream(
      self.loop_, net::make_tcp_transport(self.loop_, descriptor, peer), self.http_, self);
  self.connections_.insert(connection.release());
}

// The one that waits longest for a request of its client's: probes must get through beside silent
// connections.
bool LocalService::make_room() {
  http::DownstreamConnection* longest = nullptr;
  for (http::DownstreamConnection* connection : connections_) {
    if (connection->waiting_since_ms() == UINT64_MAX) continue;
    if (!longest || connection->waiting_since_ms() < longest->waiting_since_ms()) longest = connection;
  }
  if (longest) longest->close();
  return longest != nullptr;
}

http::StreamHandler& LocalService::on_stream(http::Stream& stream, http::DownstreamConnection&) {
  return *new Request(loop_, handler_, stream);  // owned by itself until it is done
}

void LocalService::on_closed(http::DownstreamConnection& connection) {
  --open_;
  connections_.erase(&connection);
  loop_.defer_delete(std::unique_ptr<net::Deferred>(&connection));
}

}  // namespace penstock::server

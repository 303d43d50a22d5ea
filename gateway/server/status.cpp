#include "server/status.h"

#include <unistd.h>

#include "base/reason.h"
#include "net/tcp_transport.h"
#include "observe/prometheus.h"
#include "server/listen_sockets.h"

namespace penstock::server {

// One request to the status listener. Deletes itself through the loop when it is answered or lost.
class StatusListener::Request final : public net::Deferred, public http::StreamHandler {
 public:
  Request(net::Loop& loop, StatusSource& source, http::Stream& stream)
      : loop_(loop), source_(source), stream_(&stream), alive_(std::make_shared<Request*>(this)) {}
  ~Request() override { *alive_ = nullptr; }

 private:
  struct Answer {
    uint16_t status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body;
  };

  void on_head(http::Message& head, http::EndStream end) override {
    head_request_ = head.method == http::Method::head;
    if (end == http::EndStream::no) stream_->close_after();  // nobody reads that body
    if (head.method != http::Method::get && !head_request_) return refuse(405, "route.method");
    if (head.path == "/livez") return answer({200, "text/plain; charset=utf-8", "alive\n"});
    if (head.path == "/readyz") {
      bool ready = source_.ready();
      return answer({static_cast<uint16_t>(ready ? 200 : 503), "text/plain; charset=utf-8",
                     ready ? "ready\n" : "not ready\n"});
    }
    if (head.path != "/metrics") return refuse(404, reason::route_none);
    source_.collect([alive = alive_](std::string text) {
      if (*alive) (*alive)->answer({200, observe::PrometheusText::content_type, std::move(text)});
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

  void refuse(uint16_t status, std::string_view code) {
    std::string body = "{\"type\":\"about:blank\",\"title\":\"";
    body += status_phrase(status);
    body += "\",\"status\":" + std::to_string(status) + ",\"reason\":\"";
    body += code;
    body += "\"}\n";
    answer({status, "application/problem+json", std::move(body)});
  }

  void answer(Answer answer) {
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
  StatusSource& source_;
  http::Stream* stream_;
  bool head_request_ = false;
  std::shared_ptr<Request*> alive_;  // null in it: metrics that come later find nobody
};

std::expected<std::unique_ptr<StatusListener>, std::string> StatusListener::bind(
    net::Loop& loop, StatusSource& source, const config::Status& status) {
  auto socket = bind_free(status.address, status.socket_mode, 128);
  if (!socket) return std::unexpected(bind_failure("status", address_text(status.address), socket.error()));
  return std::unique_ptr<StatusListener>(new StatusListener(loop, source, status, std::move(*socket)));
}

StatusListener::StatusListener(net::Loop& loop, StatusSource& source, const config::Status& status,
                               net::ListenSocket socket)
    : loop_(loop),
      source_(source),
      configured_(status.address),
      max_connections_(status.max_connections),
      socket_(std::move(socket)) {}

StatusListener::~StatusListener() {
  acceptor_.reset();
  for (http::DownstreamConnection* connection : std::set(connections_)) connection->close();
}

void StatusListener::start() { acceptor_ = std::make_unique<net::Acceptor>(loop_, socket_, accepted, this); }

void StatusListener::accepted(void* owner, int descriptor, const net::Address& peer) {
  StatusListener& self = *static_cast<StatusListener*>(owner);
  if (self.open_ >= self.max_connections_) {
    self.limits_.add(Limit::status_max_connections);
    if (!self.make_room()) {
      ::close(descriptor);
      return;
    }
  }
  ++self.open_;
  auto connection = http::make_http1_downstream(
      self.loop_, net::make_tcp_transport(self.loop_, descriptor, peer), self.settings_, self);
  self.connections_.insert(connection.release());
}

// The one that waits longest for a request of its client's: probes must get through beside silent
// connections.
bool StatusListener::make_room() {
  http::DownstreamConnection* longest = nullptr;
  for (http::DownstreamConnection* connection : connections_) {
    if (connection->waiting_since_ms() == UINT64_MAX) continue;
    if (!longest || connection->waiting_since_ms() < longest->waiting_since_ms()) longest = connection;
  }
  if (longest) longest->close();
  return longest != nullptr;
}

http::StreamHandler& StatusListener::on_stream(http::Stream& stream, http::DownstreamConnection&) {
  return *new Request(loop_, source_, stream);  // owned by itself until it is done
}

void StatusListener::on_closed(http::DownstreamConnection& connection) {
  --open_;
  connections_.erase(&connection);
  loop_.defer_delete(std::unique_ptr<net::Deferred>(&connection));
}

}  // namespace penstock::server

#include "server/door.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/reason.h"
#include "net/descriptor.h"
#include "net/tcp_transport.h"
#include "server/door_parts.h"

namespace penstock::server {
namespace {

// To a client that speaks plain HTTP on a TLS port.
constexpr std::string_view plain_answer =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 46\r\nconnection: close\r\n\r\n"
    "This port speaks TLS: the address is https://\n";

// Of a closed door's accept queue in one go, so that a flood does not stall everybody else.
constexpr size_t queue_part = 64;
constexpr uint64_t next_part_ms = 1;

}  // namespace

Door::Door(DoorOwner& owner, DoorPlan plan, proxy::Generation& generation)
    : owner_(owner),
      plan_(std::move(plan)),
      generation_(&generation),
      settings_(plan_.info->http),
      descriptor_mark_(net::descriptor_mark()),
      timer_(
          owner.door_loop(),
          [](void* self) {
            Door& door = *static_cast<Door*>(self);
            door.closed() ? door.take_queue() : door.look_again();
          },
          this) {
  if (plan_.info->tls) tls_ = std::make_unique<net::TlsServer>(owner_.door_loop(), tls_settings());
  serve_tls(std::move(plan_.tls));
  acceptor_ =
      std::make_unique<net::Acceptor>(owner_.door_loop(), *plan_.socket, accepted, this, out_of_descriptors);
}

Door::~Door() { cut(); }

void Door::renew(DoorPlan plan, proxy::Generation& generation) {
  plan_ = std::move(plan);
  generation_ = &generation;
  settings_ = plan_.info->http;
  descriptor_mark_ = net::descriptor_mark();
  if (tls_) tls_->set(tls_settings());
  serve_tls(std::move(plan_.tls));
}

net::TlsServer::Settings Door::tls_settings() const {
  return {.handshake_timeout_ms = plan_.info->handshake_timeout_ms, .plain_answer = plain_answer};
}

void Door::serve_tls(TlsServing tls) {
  if (!tls_) return;
  const auto before = std::exchange(tls_context_, tls.context);
  tls_->serve(std::move(tls.context), std::move(tls.tickets));
  if (!before || before == tls_context_) return;
  for_each_connection(
      [&](http::DownstreamConnection& connection) { drain_if_outdated(connection, *before); });
}

// Who was shown a certificate that is not served any more is to come again: a client of HTTP/2 hears so at
// once and loses nothing, one of HTTP/1.1 with its next answer.
void Door::drain_if_outdated(http::DownstreamConnection& connection, const net::TlsServerContext& made_with) {
  const net::TlsInfo* tls = connection.tls();
  if (!tls || &made_with == tls_context_.get()) return;
  if (!tls_context_->same_certificates(made_with, tls->server_name))
    connection.drain(settings_.idle_timeout_ms);
}

void Door::close(uint32_t idle_grace_ms) {
  if (closed_) return;
  closed_ = true;
  idle_grace_ms_ = idle_grace_ms;
  if (tls_) tls_->hurry({.silent_ms = idle_grace_ms, .begun_ms = Handshake::hurried_ms});
  acceptor_.reset();
  queue_left_ = net::waiting_connections(*plan_.socket);
  // Kept meanwhile: whoever makes room for it must not be the last that this door has.
  if (newcomer_ && !let_in(*newcomer_)) turn_away(*newcomer_);
  newcomer_.reset();
  take_queue();
  greetings_.for_each([](Greeting& greeting) { greeting.hurry(); });
  for_each_connection([&](http::DownstreamConnection& connection) { connection.drain(idle_grace_ms); });
  report_if_empty();
}

// What waited when the door closed, and not who comes while that is taken.
void Door::take_queue() {
  {
    const SharedSocket socket = plan_.socket;
    const size_t most = std::min(queue_left_, queue_part);
    const bool more = most > 0 && net::accept_waiting(*socket, most, accepted, this) == most;
    queue_left_ = more ? queue_left_ - most : 0;
  }
  if (queue_left_ > 0) return timer_.start(next_part_ms);
  release_socket();
  report_if_empty();
}

void Door::release_socket() {
  if (!plan_.socket) return;
  plan_.socket.reset();
  owner_.socket_released();
}

void Door::cut() {
  closed_ = true;
  acceptor_.reset();
  release_socket();
  queue_left_ = 0;
  timer_.stop();
  if (auto last = std::exchange(newcomer_, {})) turn_away(*last);
  while (Greeting* greeting = greetings_.front()) {
    greeting->cut();
    greeting_over(*greeting);
  }
  while (Handshake* handshake = handshakes_.front()) {
    handshake->cut();
    handshake_over(*handshake);
  }
  for_each_connection([](http::DownstreamConnection& connection) { connection.close(); });
  places_.for_each([](net::Place& place) { place.cut(); });
}

void Door::accepted(void* self, int descriptor, const net::Address& peer) {
  Door& door = *static_cast<Door*>(self);
  Newcomer newcomer{.descriptor = descriptor, .peer = peer, .client = {}};
  // Asked before anybody makes room.
  if (!trusted(*door.plan_.info, peer)) newcomer.client = door.client_key(peer);
  if (!door.enter_client(newcomer.client, peer)) {
    ::close(descriptor);
    return;
  }
  if (door.let_in(newcomer)) return;
  door.closed() ? door.turn_away(newcomer) : door.hold(newcomer);
}

void Door::begin(int descriptor, const net::Address& peer, std::unique_ptr<Place> place,
                 uint64_t accepted_ms) {
  const proxy::ListenerInfo& info = *plan_.info;
  if (tls_) {
    auto* handshake = new Handshake(*this, descriptor, peer, std::move(place));
    handshakes_.push_back(*handshake);
    handshake->transport().limit_sending(info.sending);
  } else {
    auto transport = net::make_tcp_transport(owner_.door_loop(), descriptor, peer);
    Place& held = *place;
    transport->hold(std::move(place));
    transport->limit_sending(info.sending);
    serve(std::move(transport), accepted_ms, held);
  }
}

// Past max_handshakes one that stopped in the middle makes room, but not before its client had time for some
// round trips. When there is none, or all wait for us, the newcomer waits. A worker without any begins one
// whatever the others have.
bool Door::admit_handshake(Handshake& handshake) {
  if (plan_.load->begin_handshake() <= plan_.info->max_handshakes) return true;
  if (handshake.waits_first_time()) owner_.limit_reached(Limit::max_handshakes);
  const uint64_t now = owner_.door_loop().now_ms();
  if (tls_->give_up_begun(now - std::min(now, WaitLists::stopped_handshake_grace_ms)) || tls_->begun() == 0)
    return true;
  plan_.load->end_handshake();
  return false;
}

void Door::serve(std::unique_ptr<net::Transport> transport, uint64_t accepted_ms, Place& place,
                 const net::TlsServerContext* made_with) {
  const bool alone = settings_.protocols == http::Protocols::http2;
  const net::TlsInfo* tls = transport->tls();
  const bool http2 = alone ? !tls || tls->alpn.empty() || tls->alpn == "h2" : tls && tls->alpn == "h2";
  net::Loop& loop = owner_.door_loop();
  http::DownstreamOwner& owner = owner_.downstream_owner();
  auto& served = enlist(http2 ? http::make_http2_downstream(loop, std::move(transport), settings_, owner)
                              : http::make_http1_downstream(loop, std::move(transport), settings_, owner),
                        place);
  if (accepted_ms < loop.now_ms()) served.count_wait_from(accepted_ms);
  ++connections_;
  if (closed()) served.drain(idle_grace_ms_);  // its handshake was over too late
  if (made_with) drain_if_outdated(served, *made_with);
}

http::DownstreamConnection& Door::enlist(std::unique_ptr<http::DownstreamConnection> connection,
                                         Place& place) {
  connection->context = this;
  if (connection->many_streams()) owner_.http2_opened();
  place.serves(*connection);
  auto& served = *connection.release();
  waits_.add(served, http::Awaited::first_byte);
  return served;
}

void Door::speaks_http2(http::DownstreamConnection& connection, std::unique_ptr<net::Transport> transport,
                        std::string_view before, std::string_view read) {
  auto& place = *static_cast<Place*>(std::exchange(connection.place, nullptr));
  auto& served = enlist(http::make_http2_downstream(owner_.door_loop(), std::move(transport), settings_,
                                                    owner_.downstream_owner(), http::Reading::started),
                        place);
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&connection));
  if (closed()) served.drain(idle_grace_ms_);
  if (!before.empty()) served.begin(before);
  served.begin(read);
}

http::DownstreamConnection* Door::connection_at(const net::Place& place) {
  return static_cast<const Place&>(place).connection();
}

void Door::left(http::DownstreamConnection& connection) {
  --connections_;
  if (connection.many_streams()) owner_.http2_closed();
  if (connection.place) static_cast<Place*>(connection.place)->served();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&connection));
  report_if_empty();
}

void Door::greeting_over(Greeting& greeting) {
  greeting.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&greeting));
  report_if_empty();
}

void Door::handshake_over(Handshake& handshake) {
  if (handshake.begun()) plan_.load->end_handshake();
  handshake.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&handshake));
  report_if_empty();
}

void Door::gave_back(Place& place) {
  place.net::Place::unlink();
  if (!give_to_claim()) plan_.load->leave();
  owner_.connection_closed();
  if (newcomer_) owner_.door_loop().schedule(look_again_);
  report_if_empty();
}

void Door::report_if_empty() {
  if (closed() && empty()) owner_.door_empty(*this);
}

}  // namespace penstock::server

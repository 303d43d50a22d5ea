// Where clients come in on one worker: one listening address with the connections accepted there. Kept over
// reloads while address and scheme stay; what it says of its listener is exchanged under it. A removed door
// takes what waits in its queue, serves its connections to the end on the generation that it knew last, and
// is then let go by the worker. Owned by the worker, its thread only.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/intrusive_list.h"
#include "http/connection.h"
#include "net/listener.h"
#include "net/place.h"
#include "net/tls_server.h"
#include "proxy/snapshot.h"
#include "server/listen_sockets.h"
#include "server/listener_load.h"

namespace penstock::server {

class Door;

// What TLS handshakes are made with from now on; it changes without a reload.
struct TlsServing {
  std::shared_ptr<const net::TlsServerContext> context;  // null: plain
  std::shared_ptr<const net::TicketKeys> tickets;        // null: none
};

// What a door is made or renewed from. `info` lives in the snapshot that is being committed.
struct DoorPlan {
  std::string key;  // address and scheme
  SharedSocket socket;
  std::shared_ptr<ListenerLoad> load;
  TlsServing tls;
  const proxy::ListenerInfo* info = nullptr;
};

// The worker as its doors see it.
class DoorOwner {
 public:
  virtual net::Loop& door_loop() = 0;
  // The owner of the streams of a new connection.
  virtual http::DownstreamOwner& downstream_owner() = 0;
  virtual void connection_opened() = 0;
  virtual void connection_closed() = 0;
  virtual void limit_reached(Limit limit) = 0;
  // The last connection of a closed door is gone; the owner lets go of the door later, not inside this call.
  // May come more than once.
  virtual void door_empty(Door& door) = 0;

 protected:
  ~DoorOwner() = default;
};

class Door {
 public:
  Door(DoorOwner& owner, DoorPlan plan, proxy::Generation& generation);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  const std::string& key() const { return plan_.key; }
  // For new streams: the listener and the generation that it lives in.
  const proxy::ListenerInfo& info() const { return *plan_.info; }
  proxy::Generation& generation() const { return *generation_; }

  // New settings for connections there are and to come; the owner exchanges its pin.
  void renew(DoorPlan plan, proxy::Generation& generation);
  void serve_tls(TlsServing tls);
  // Null: plain.
  const net::TlsCounters* tls_counters() const { return tls_ ? &tls_->counters : nullptr; }
  // Adds them to `total` and begins anew.
  void take_tls_counters(net::TlsCounters& total) {
    if (tls_) total.merge(std::exchange(tls_->counters, {}));
  }
  // Takes what waits in the accept queue, lets go of the socket, and asks every connection to end: idle ones
  // after idle_grace_ms, others after their answer.
  void close(uint32_t idle_grace_ms);
  bool closed() const { return !acceptor_; }
  // At once, whatever is under way.
  void cut();
  // Neither connections nor sockets of former ones that still send or linger.
  bool empty() const {
    return connections_.empty() && greetings_.empty() && handshakes_.empty() && places_.empty();
  }
  // A connection of this door has closed: taken out of the list. Its place is given back with its socket.
  void left(http::DownstreamConnection& connection);
  // fn must not remove any but the one it is given.
  template <class Fn>
  void for_each_connection(Fn fn) {
    connections_.for_each(fn);
  }

 private:
  class Greeting;
  class Handshake;
  class Place;
  class Silent;
  static void accepted(void* door, int descriptor, const net::Address& peer);
  static bool out_of_descriptors(void* door);
  void begin(int descriptor, const net::Address& peer, std::unique_ptr<Place> place, uint64_t accepted_ms);
  bool count_client(Place& place, const net::Address& client);
  void greeting_over(Greeting& greeting);
  std::unique_ptr<Place> admit(int descriptor, const net::Address& peer);
  bool make_room(Limit limit);
  net::TlsServer::Settings tls_settings() const;
  bool admit_handshake();
  void serve(std::unique_ptr<net::Transport> transport, uint64_t accepted_ms);
  void handshake_over(Handshake& handshake);
  void gave_back(Place& place);
  void report_if_empty();

  DoorOwner& owner_;
  DoorPlan plan_;
  proxy::Generation* generation_;
  http::DownstreamSettings settings_;    // borrowed by the connections
  std::unique_ptr<net::TlsServer> tls_;  // null: plain
  std::unique_ptr<net::Acceptor> acceptor_;
  IntrusiveList<http::DownstreamConnection> connections_;
  IntrusiveList<Greeting> greetings_;
  IntrusiveList<Handshake> handshakes_;
  IntrusiveList<net::Place> places_;  // one for each open socket
  uint32_t idle_grace_ms_ = 0;        // of close()
  int descriptor_mark_;               // from it on descriptors are kept for backends
  uint64_t no_room_until_ms_ = 0;     // make_room() found none
};

}  // namespace penstock::server

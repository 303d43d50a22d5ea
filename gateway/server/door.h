// Where clients come in on one worker: one listening address with the connections accepted there. Kept over
// reloads while address and scheme stay; what it says of its listener is exchanged under it. When every place
// is taken, one newcomer takes the place of one that waits for its client, or else is held until there is
// one; whoever comes after it waits in the kernel's queue (door_room.cpp). A removed door takes what waits in
// its queue, serves its connections to the end on the generation that it knew last, and is then let go by the
// worker. Owned by the worker, its thread only.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/intrusive_list.h"
#include "http/connection.h"
#include "net/listener.h"
#include "net/place.h"
#include "net/timer.h"
#include "net/tls_server.h"
#include "proxy/snapshot.h"
#include "server/listen_sockets.h"
#include "server/listener_load.h"
#include "server/slow_readers.h"
#include "server/wait_lists.h"

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
  virtual void http2_opened() = 0;
  virtual void http2_closed() = 0;
  virtual void limit_reached(Limit limit) = 0;
  // Nobody here can make room for a newcomer, but somebody at the same door of another worker may.
  virtual void room_wanted(Door& door, Limit limit) = 0;
  // A place that stays counted is that worker's door's now: Door::take_place().
  virtual void hand_over(Door& door, uint32_t worker) = 0;
  // A connection ended before it could bring a request: what stands in for the access log's record. `reason`
  // is of base/reason.h, `text` static.
  virtual void refused(Door& door, const net::Address& peer, std::string_view reason,
                       std::string_view text) = 0;
  // A closed door has let go of its listening socket.
  virtual void socket_released() = 0;
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
  bool closed() const { return closed_; }
  // At once, whatever is under way.
  void cut();
  // Neither connections nor sockets of former ones that still send or linger.
  bool empty() const {
    return !newcomer_ && queue_left_ == 0 && connections_ == 0 && greetings_.empty() && handshakes_.empty() &&
           places_.empty();
  }
  // A connection of this door waits for its client from now on.
  void awaits(http::DownstreamConnection& connection, http::Awaited what) { waits_.add(connection, what); }
  // One of its connections turned out to speak HTTP/2 (http::DownstreamOwner::on_http2).
  void speaks_http2(http::DownstreamConnection& connection, std::unique_ptr<net::Transport> transport,
                    std::string_view before, std::string_view read);
  // A newcomer waits for a place in this other worker. True: it gets one, or a descriptor is free; false: it
  // may still get one, see `claim_`.
  bool make_room_elsewhere(Limit limit, uint32_t worker);
  // A connection to a backend has none. True: a client gave its own, or will by the end of the turn.
  bool free_descriptor();
  // One that was handed over: counted so far, for whoever is held here.
  void take_place(const std::shared_ptr<ListenerLoad>& load);
  const std::shared_ptr<ListenerLoad>& load() const { return plan_.load; }
  // A connection of this door has closed: taken out of the list. Its place is given back with its socket.
  void left(http::DownstreamConnection& connection);
  // fn must not end any connection but the one it is given: the next is known already, and its place goes
  // with its socket at once.
  template <class Fn>
  void for_each_connection(Fn fn) {
    places_.for_each([&](net::Place& place) {
      if (http::DownstreamConnection* connection = connection_at(place)) fn(*connection);
    });
  }

 private:
  class Greeting;
  class Handshake;
  class Place;
  // Accepted, and without a place so far.
  struct Newcomer {
    int descriptor;
    net::Address peer;
    ClientTable::Key client;      // counted, if it has a family
    Limit missing = Limit::none;  // what it waits for
    bool waited_for_own = false;  // before it asked other workers
  };
  // Freed at once; by the end of the turn; somebody was spared, so a later look decides; nobody's is to be
  // had.
  enum class Room : uint8_t { now, soon, later, none };
  struct LookAgain final : net::Task {
    explicit LookAgain(Door& of) : door(of) {}
    void run_task() override { door.look_again(); }
    Door& door;
  };

  static void accepted(void* door, int descriptor, const net::Address& peer);
  static bool out_of_descriptors(void* door);
  static http::DownstreamConnection* connection_at(const net::Place& place);
  void begin(int descriptor, const net::Address& peer, std::unique_ptr<Place> place, uint64_t accepted_ms);
  ClientTable::Key client_key(const net::Address& client) const;
  bool enter_client(const ClientTable::Key& client, const net::Address& address);
  void greeting_over(Greeting& greeting);
  void take_queue();
  void release_socket();
  net::TlsServer::Settings tls_settings() const;
  void drain_if_outdated(http::DownstreamConnection& connection, const net::TlsServerContext& made_with);
  bool admit_handshake(Handshake& handshake);
  // `made_with`: whose certificates its client was shown; null: none.
  void serve(std::unique_ptr<net::Transport> transport, uint64_t accepted_ms, Place& place,
             const net::TlsServerContext* made_with = nullptr);
  http::DownstreamConnection& enlist(std::unique_ptr<http::DownstreamConnection> connection, Place& place);
  void handshake_over(Handshake& handshake);
  void gave_back(Place& place);
  void report_if_empty();

  // door_room.cpp
  bool let_in(Newcomer& newcomer);
  bool low_descriptor(Newcomer& newcomer);
  bool move_down(Newcomer& newcomer) const;
  Place* slow_reader(uint64_t now);
  bool enter(Newcomer& newcomer);
  bool make_room(Newcomer& newcomer, Limit limit);
  bool give_up_greeting(uint64_t now);
  Spared::Moment moment() const { return {owner_.door_loop().polls(), owner_.door_loop().now_ms()}; }
  Room evict_one(Limit limit);
  void hold(const Newcomer& newcomer);
  void turn_away(const Newcomer& newcomer);
  void look_again();
  uint64_t ripe_at_ms();
  void look_later();
  bool give_to_claim();

  DoorOwner& owner_;
  DoorPlan plan_;
  proxy::Generation* generation_;
  http::DownstreamSettings settings_;    // borrowed by the connections
  std::unique_ptr<net::TlsServer> tls_;  // null: plain
  std::shared_ptr<const net::TlsServerContext> tls_context_;
  std::unique_ptr<net::Acceptor> acceptor_;
  bool closed_ = false;
  size_t queue_left_ = 0;  // of the accept queue of a closed door
  size_t connections_ = 0;
  WaitLists waits_;  // those of them that wait for their client
  IntrusiveList<Greeting> greetings_;
  IntrusiveList<Handshake> handshakes_;
  IntrusiveList<net::Place> places_;  // one for each open socket
  SlowReaders<Place> slow_readers_;   // of them
  uint64_t readers_looked_ms_ = 0;
  uint64_t crowded_until_ms_ = 0;
  uint32_t idle_grace_ms_ = 0;        // of close()
  int descriptor_mark_;               // from it on descriptors are kept for backends
  std::optional<Newcomer> newcomer_;  // held; nobody is accepted meanwhile
  // Another worker's newcomer that waits, too: of the places that are given back here it gets every other
  // one.
  struct Claim {
    uint32_t worker = 0;
    uint64_t until_ms = 0;
    bool next = true;  // it is its turn
  } claim_;
  bool given_ = false;           // by another worker: a place for newcomer_, counted already
  LookAgain look_again_{*this};  // a place was given back
  net::Timer timer_;             // the next look; of a closed door, the next part of its queue
};

}  // namespace penstock::server

// In-process proxy tests: a real exchange, cluster and pool on a real loop between a scripted client stream
// and scripted backend streams. Everything that reaches either side is written down as text.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/patterns.h"
#include "net/loop.h"
#include "net/timer_wheel.h"
#include "proxy/exchange.h"
#include "unit/proxy/scripted_filter.h"
#include "upstream/connector.h"

namespace penstock::proxy::testing {

// One side's stream. `log` collects what the exchange did to it: "GET /x host=h [a: b]", "data:...", "end",
// "flush", "release", "reset", "pause:sink_full" ...
struct ScriptedStream final : http::Stream {
  explicit ScriptedStream(net::Loop& l) : loop(l), stream_arena(l.blocks()) {}

  void send_informational(const http::Message& head) override { add(std::to_string(head.status)); }
  void send_head(const http::Message& head, http::EndStream end) override {
    std::string text = head.status ? std::to_string(head.status)
                                   : std::string(head.method_text) + " " + std::string(head.path) +
                                         (head.has_query ? "?" + std::string(head.query) : "") +
                                         " host=" + std::string(head.authority);
    last_headers.clear();
    for (const http::Field& field : head.headers.fields())
      last_headers += std::string(field.name) + ": " + std::string(field.value) + "\n";
    add(text + (end == http::EndStream::yes ? " end" : ""));
    sent_any = !deaf;
  }
  void send_data(std::string_view bytes) override {
    sent += bytes.size();
    pending += bytes.size();
    body += bytes;
    if (!log.empty() && log.back().starts_with("data:"))
      log.back() += bytes;
    else
      add("data:" + std::string(bytes.substr(0, 40)));
  }
  void send_trailers(const http::Headers& trailers) override {
    last_trailers.clear();
    for (const http::Field& field : trailers.fields())
      last_trailers += std::string(field.name) + ": " + std::string(field.value) + "\n";
    add("trailers");
  }
  void send_end() override { add("end"); }
  void flush() override {
    if (!stuck) pending = 0;
  }
  size_t unsent() const override { return pending; }
  void pause(PauseReason reason) override {
    add("pause:" + std::to_string(static_cast<int>(reason))), paused = true;
  }
  void resume(PauseReason reason) override {
    if (paused) add("resume:" + std::to_string(static_cast<int>(reason)));
    paused = false;
  }
  void release() override {
    add("release");
    gone = true;
    stream_arena.reset();
    if (on_release) on_release();
  }
  void reset() override {
    add("reset");
    gone = true;
    stream_arena.reset();
    if (on_release) on_release();
  }
  void close_after() override { add("close_after"); }
  void count_as_reset() override { ++counted_as_reset; }
  Arena& arena() override { return stream_arena; }
  http::Version version() const override { return speaks; }
  void lift_body_pace() override { pace_lifted = true; }
  const net::Address& peer() const override { return peer_address; }
  const net::Address& local() const override { return peer_address; }
  const net::TlsInfo* tls() const override { return nullptr; }
  bool reused() const override { return is_reused; }
  bool any_byte_received() const override { return received_any; }
  bool any_byte_sent() const override { return sent_any; }
  uint64_t bytes_written() const override { return written; }
  uint64_t bytes_taken() const override { return taken; }
  uint64_t bytes_taken_before() const override { return taken_before; }
  uint64_t bytes_received() const override { return 0; }
  uint64_t bytes_sent() const override { return sent; }
  uint64_t started_ms() const override { return 0; }

  void add(std::string event) { log.push_back(std::move(event)); }
  std::string text() const {
    std::string out;
    for (const std::string& event : log) out += event + "\n";
    return out;
  }

  net::Loop& loop;
  Arena stream_arena;
  net::Address peer_address = *net::Address::parse("192.0.2.7:4711");
  http::StreamHandler* handler = nullptr;
  std::vector<std::string> log;
  std::string last_headers, last_trailers, body;
  std::function<void()> on_release;
  size_t sent = 0, pending = 0, written = 0, taken = 0, counted_as_reset = 0, taken_before = 0;
  http::Version speaks = http::Version::http_1_1;
  bool pace_lifted = false;
  bool deaf = false;  // the kernel takes no byte
  bool stuck = false, paused = false, gone = false, is_reused = false, received_any = false, sent_any = false;
};

// What a test looks at of a backend connection; outlives the connection.
struct ConnectionScript {
  std::vector<std::unique_ptr<ScriptedStream>> streams;
  bool finished = true;  // the next release leaves the connection usable
  http::Version speaks = http::Version::http_1_1;
};

// A backend connection with one stream at a time.
struct ScriptedConnection final : http::UpstreamConnection {
  ScriptedConnection(net::Loop& l, http::UpstreamOwner& o, ConnectionScript& s)
      : loop(l), owner(o), script(s) {}
  http::Stream* open(http::StreamHandler& handler) override {
    auto& made = script.streams.emplace_back(std::make_unique<ScriptedStream>(loop));
    made->handler = &handler;
    made->speaks = script.speaks;
    made->is_reused = script.streams.size() > 1;
    open_count = 1;
    made->on_release = [this] {
      open_count = 0;
      script.finished ? owner.on_idle(*this) : owner.on_closed(*this);
    };
    return made.get();
  }
  size_t open_streams() const override { return open_count; }
  bool quiet() const override { return true; }
  void close() override { owner.on_closed(*this); }

  net::Loop& loop;
  http::UpstreamOwner& owner;
  ConnectionScript& script;
  size_t open_count = 0;
};

// Connects (or refuses) by script; connections are kept for the test to look at.
struct ScriptedConnector final : upstream::Connector {
  struct Made final : Pending {
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
    ~Made() override { *alive = false; }
  };
  explicit ScriptedConnector(net::Loop& l) : loop(l) {}
  std::unique_ptr<Pending> connect(const net::Address& to, net::TlsPeer&, uint64_t,
                                   http::UpstreamOwner& owner, Done done, void* who) override {
    auto pending = std::make_unique<Made>();
    attempts.push_back(to.port());
    bool refused = std::ranges::find(refusing, to.port()) != refusing.end();
    if (std::ranges::find(silent, to.port()) != silent.end()) return pending;
    loop.post([this, &owner, done, who, refused, alive = pending->alive] {
      if (!*alive) return;
      if (refused) {
        done(who, std::unexpected(
                      Error{ErrorKind::refused, ErrorSource::upstream, Retry::yes, {}, "refused by script"}));
        return;
      }
      auto& script = connections.emplace_back(std::make_unique<ConnectionScript>());
      script->speaks = speaks;
      done(who, std::make_unique<ScriptedConnection>(loop, owner, *script));
    });
    return pending;
  }
  net::Loop& loop;
  http::Version speaks = http::Version::http_1_1;
  std::vector<uint16_t> attempts, refusing, silent;
  std::vector<std::unique_ptr<ConnectionScript>> connections;
};

}  // namespace penstock::proxy::testing

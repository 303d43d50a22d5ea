// A server on the test's own loop that reads commands of Redis and answers as it is told: to the setup and to
// heartbeats by itself, to decisions too unless they are held.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "net/listener.h"
#include "unit/net/net_support.h"

namespace penstock::store {

class FakeRedis {
 public:
  using Command = std::vector<std::string>;

  explicit FakeRedis(net::Loop& loop)
      : loop_(loop),
        socket_(std::move(*net::ListenSocket::bind(net::loopback()))),
        acceptor_(loop, socket_, on_accept, this) {}

  uint16_t port() const { return socket_.address().port(); }
  void close_all() { connections_.clear(); }
  // Answers to all that was held, in order.
  void release() {
    hold_decisions = hold_heartbeats = false;
    for (auto& one : connections_) one->release();
  }
  size_t count(std::string_view verb) const {
    size_t out = 0;
    for (const Command& command : commands) out += verb_of(command) == verb;
    return out;
  }
  static std::string verb_of(const Command& command) {
    if (command[0] != "EVALSHA") return command[0];
    return command[3 + std::stoul(command[2])];
  }

  std::vector<Command> commands;
  bool hold_decisions = false, hold_heartbeats = false;
  int lost_scripts = 0;  // answers NOSCRIPT so often
  int processes = 1;
  std::deque<std::string> decisions;  // answers to them; then admitted at rest
  size_t accepted = 0;

 private:
  struct Connection final : net::TransportHandler {
    Connection(FakeRedis& of, int fd, const net::Address& peer)
        : server(of), transport(net::make_tcp_transport(of.loop_, fd, peer)) {
      transport->set_handler(this);
      transport->start_reading();
    }
    void on_read(std::span<const char> bytes) override {
      buffer.append(bytes.data(), bytes.size());
      Command command;
      while (take(command)) {
        server.commands.push_back(command);
        waiting.push_back(std::move(command));
      }
      release();
    }
    void on_read_end() override {}
    void on_drained() override {}
    void on_error(const Error&) override {}
    bool take(Command& out) {
      out.clear();
      size_t at = 0;
      const auto number = [&](char kind) -> long {
        const size_t end = buffer.find("\r\n", at);
        if (end == std::string::npos || buffer[at] != kind) return -1;
        const long value = std::stol(buffer.substr(at + 1, end - at - 1));
        at = end + 2;
        return value;
      };
      for (long left = number('*'); left > 0; --left) {
        const long size = number('$');
        if (size < 0 || at + static_cast<size_t>(size) + 2 > buffer.size()) return false;
        out.push_back(buffer.substr(at, static_cast<size_t>(size)));
        at += static_cast<size_t>(size) + 2;
      }
      if (out.empty()) return false;
      buffer.erase(0, at);
      return true;
    }
    void release() {
      while (!waiting.empty()) {
        const std::string verb = verb_of(waiting.front());
        if (verb == "here" ? server.hold_heartbeats
                           : (verb == "gcra" || verb == "add") && server.hold_decisions)
          break;
        transport->append(server.answer(waiting.front()));
        waiting.pop_front();
      }
      transport->flush();
    }
    FakeRedis& server;
    std::unique_ptr<net::Transport> transport;
    std::string buffer;
    std::deque<Command> waiting;
  };

  static void on_accept(void* raw, int fd, const net::Address& peer) {
    auto& self = *static_cast<FakeRedis*>(raw);
    ++self.accepted;
    self.connections_.push_back(std::make_unique<Connection>(self, fd, peer));
  }
  std::string answer(const Command& command) {
    const std::string verb = verb_of(command);
    if (verb == "SCRIPT") return "$3\r\nsha\r\n";
    if (verb == "AUTH" || verb == "SELECT") return "+OK\r\n";
    if (lost_scripts > 0 && lost_scripts-- > 0) return "-NOSCRIPT No matching script.\r\n";
    if (verb == "here") return "*2\r\n:1\r\n:" + std::to_string(processes) + "\r\n";
    if (!decisions.empty()) {
      std::string out = decisions.front();
      decisions.pop_front();
      return out;
    }
    if (verb == "add") return "*2\r\n:1\r\n:5\r\n";
    const size_t windows = std::stoul(command[2]);
    std::string out = "*" + std::to_string(2 + 2 * windows) + "\r\n:1\r\n:1000000\r\n";
    for (size_t i = 0; i < windows; ++i) out += ":1000000\r\n:0\r\n";
    return out;
  }

  net::Loop& loop_;
  net::ListenSocket socket_;
  net::Acceptor acceptor_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace penstock::store

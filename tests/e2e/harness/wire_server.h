// A backend in the test's own process that sees raw bytes: a thread accepts, collects what comes on each
// connection and asks a handler what to send. Nothing of HTTP is known here.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace e2e {

class WireServer {
 public:
  struct Conversation {
    std::string received;     // all that came on this connection
    bool ended = false;       // the peer closed; nothing can be sent
    std::string to_send;      // by the handler
    size_t piece = SIZE_MAX;  // bytes that one write takes of it
    enum class Close { keep, after_sending, at_once } close = Close::keep;
    size_t taken = 0;  // the handler's own: how much of `received` it has dealt with
  };
  // On the server's thread, after each read and once at a connection's end.
  using Handler = std::function<void(Conversation&)>;

  explicit WireServer(Handler handler);
  ~WireServer();
  WireServer(const WireServer&) = delete;
  WireServer& operator=(const WireServer&) = delete;

  uint16_t port() const { return port_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void serve();

  Handler handler_;
  int listener_;
  int stop_[2];
  uint16_t port_;
  std::thread thread_;
};

}  // namespace e2e

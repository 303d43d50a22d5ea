// One connection of the load and the request on it. Knows neither epoll nor the other connections.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "wire.h"

namespace load {

using Clock = std::chrono::steady_clock;

// What every request is.
struct Request {
  sockaddr_in address{};
  std::string head;
  int body_file = -1;
  uint64_t body_size = 0;
};

class Client {
 public:
  // bad: not the answer that was asked for; failed: the connection ended, or could not begin.
  enum class Went { waits, answered, bad, failed };

  Client(const Request& request, TlsClient& tls) : request_(request), tls_(tls) {}

  // False: the system does not let us. After it the descriptor is to be watched.
  bool open();
  // `since`: when the request was due.
  void ask(Clock::time_point since);
  // Goes on as far as it can; to be called after ask() and at every event.
  Went advance();
  void close();

  bool is_open() const { return stage_ != Stage::closed; }
  bool is_asking() const { return stage_ != Stage::closed && stage_ != Stage::idle; }
  Clock::time_point since() const { return since_; }
  const Wire& wire() const { return wire_; }

 private:
  enum class Stage { closed, idle, handshake, send_head, send_body, read_head, read_body };

  ssize_t step();
  ssize_t step_read_head();
  void count_body(uint64_t bytes);

  const Request& request_;
  TlsClient& tls_;
  Wire wire_;
  Stage stage_ = Stage::closed;
  bool good_ = true;
  Clock::time_point since_;
  uint64_t done_ = 0;  // of what is sent or read in this stage
  uint64_t body_left_ = 0;
  std::array<char, 4096> head_;
};

}  // namespace load

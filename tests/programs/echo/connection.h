// One TCP connection of the echo backend: reads requests, plays the steps of their answers in order.
// Owned by the loop in main.cpp, single-threaded; knows its descriptor, but neither epoll nor timers:
// it says what it waits for.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "echo/answers.h"
#include "echo/request.h"

namespace echo {

using Clock = std::chrono::steady_clock;

class Connection {
 public:
  Connection(int descriptor, uint64_t number, std::string_view instance);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class State { open, closed };
  // Reads once and goes on as far as it can.
  State on_readable();
  // Goes on after the descriptor became writable or a delay ended.
  State advance();

  bool wants_read() const;
  bool wants_write() const { return sent_ < output_.size(); }
  // When advance() is to be called again, if a step waits.
  std::optional<Clock::time_point> due() const { return due_; }
  uint64_t number() const { return origin_.connection; }

 private:
  enum class Reading { head, body_length, body_chunked, websocket, nothing };
  enum class Progress { made, none, closed };

  State flush();
  Progress play();
  void write_filler(Step& step);
  Progress read_input();
  Progress read_head();
  Progress read_length_body();
  Progress read_chunk();
  Progress read_websocket();
  void take_body(std::string_view piece);
  void end_of_request();
  std::string_view unread() const { return std::string_view(input_).substr(taken_); }
  void take(size_t size);

  int descriptor_;
  Origin origin_;
  Reading reading_ = Reading::head;
  std::string input_, output_;
  size_t taken_ = 0, sent_ = 0;
  std::string head_;  // of the request being answered; request_ views into it
  Request request_;
  BodySeen body_;
  uint64_t body_left_ = 0;
  enum class Copy { no, plain, chunked } copy_ = Copy::no;  // /echo
  bool answered_ = false, close_after_ = false;
  std::deque<Step> steps_;
  std::optional<Clock::time_point> due_;
};

}  // namespace echo

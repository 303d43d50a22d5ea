#include "client.h"

#include "answer.h"

namespace load {

bool Client::open() {
  if (!wire_.open(request_.address, tls_)) {
    wire_.close();
    return false;
  }
  stage_ = Stage::idle;
  return true;
}

void Client::close() {
  wire_.close();
  stage_ = Stage::closed;
}

void Client::ask(Clock::time_point since) {
  since_ = since;
  done_ = 0;
  good_ = true;
  stage_ = Stage::handshake;
}

Client::Went Client::advance() {
  while (stage_ != Stage::closed) {
    const bool was_asking = is_asking();
    const ssize_t result = step();
    if (result == would_wait) return Went::waits;
    if (!good_) return Went::bad;
    if (result <= 0) return Went::failed;
    if (was_asking && !is_asking()) return Went::answered;
  }
  return Went::waits;
}

// One call of the system; more than 0: on to the next.
ssize_t Client::step() {
  ssize_t result = broken;
  switch (stage_) {
    case Stage::closed: break;
    case Stage::idle:  // nothing is to come: what does is an end, or a session of TLS
      return wire_.receive(head_.data(), 1) == would_wait ? would_wait : broken;
    case Stage::handshake:
      result = wire_.handshake();
      if (result > 0) stage_ = Stage::send_head;
      break;
    case Stage::send_head:
      result = wire_.send(request_.head.data() + done_, request_.head.size() - done_, request_.body_size > 0);
      if (result <= 0) break;
      done_ += static_cast<uint64_t>(result);
      if (done_ < request_.head.size()) break;
      done_ = 0;
      stage_ = request_.body_size > 0 ? Stage::send_body : Stage::read_head;
      break;
    case Stage::send_body:
      result = wire_.send_file(request_.body_file, done_, request_.body_size - done_);
      if (result <= 0) break;
      done_ += static_cast<uint64_t>(result);
      if (done_ < request_.body_size) break;
      done_ = 0;
      stage_ = Stage::read_head;
      break;
    case Stage::read_head: return step_read_head();
    case Stage::read_body:
      result = wire_.discard(body_left_);
      if (result > 0) count_body(static_cast<uint64_t>(result));
      break;
  }
  return result;
}

ssize_t Client::step_read_head() {
  const ssize_t result = wire_.receive(head_.data() + done_, head_.size() - done_);
  if (result <= 0) return result;
  done_ += static_cast<uint64_t>(result);
  const Answer answer = parse({head_.data(), done_});
  if (answer.head == 0) return done_ == head_.size() ? broken : result;
  const uint64_t early = done_ - answer.head;
  good_ = answer.good && early <= answer.body;
  body_left_ = answer.body;
  stage_ = Stage::read_body;
  if (good_) count_body(early);
  return result;
}

void Client::count_body(uint64_t bytes) {
  body_left_ -= bytes;
  if (body_left_ == 0) stage_ = Stage::idle;
}

}  // namespace load

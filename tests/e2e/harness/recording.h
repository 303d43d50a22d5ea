// A backend that reads every request with the reference reader, remembers it and answers with its target.
#pragma once
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "e2e/harness/wire_server.h"
#include "fuzz/reference_reader.h"

namespace e2e {

class Recording {
 public:
  Recording() : server_([this](WireServer::Conversation& talk) { read(talk); }) {}
  std::string endpoint() const { return server_.endpoint(); }

  // "METHOD host target body" of each whole request since the last call.
  std::vector<std::string> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(received_, {});
  }
  // What no gateway may send: a request that does not read, or one with a field of the client's connection.
  std::string strange() const {
    std::lock_guard lock(mutex_);
    return strange_;
  }

 private:
  void read(WireServer::Conversation& talk) {
    std::lock_guard lock(mutex_);
    while (talk.taken < talk.received.size()) {
      auto reading = reference::read_request(std::string_view(talk.received).substr(talk.taken));
      if (reading.outcome == reference::Outcome::refused)
        strange_ += reading.why + ": " + talk.received + "\n";
      if (reading.outcome != reference::Outcome::whole) return;
      const reference::Message& request = reading.message;
      talk.taken += request.size;
      if (request.count("connection") + request.count("keep-alive") + request.count("http2-settings") > 0)
        strange_ += "a field of the client's connection: " + talk.received + "\n";
      received_.push_back(request.method + " " + request.value("host") + " " + request.target + " " +
                          request.body);
      talk.to_send += "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(request.target.size()) +
                      "\r\n\r\n" + request.target;
    }
  }
  mutable std::mutex mutex_;
  std::vector<std::string> received_;
  std::string strange_;
  WireServer server_;
};

}  // namespace e2e

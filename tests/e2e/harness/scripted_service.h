// A service that the gateway asks by itself (keys, introspection, a decision): a test says what each path
// answers and sees what was asked.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "e2e/harness/wire_server.h"
#include "fuzz/reference_reader.h"

namespace e2e {

class ScriptedService {
 public:
  ScriptedService() : server_([this](WireServer::Conversation& talk) { read(talk); }) {}
  std::string url(const std::string& path = "/") const { return "http://" + server_.endpoint() + path; }

  // What the next questions for `path` get: a status line's rest with fields, and a body.
  void answer(const std::string& path, const std::string& status, const std::string& body = {},
              const std::string& fields = {}) {
    raw(path, "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
                  "\r\n\r\n" + body);
  }
  void json(const std::string& path, const std::string& body) {
    answer(path, "200 OK", body, "Content-Type: application/json\r\n");
  }
  // Nothing: it stays silent. `cut`: the connection is closed behind it.
  enum class After { stay, cut };
  void raw(const std::string& path, const std::string& bytes, After after = After::stay) {
    const std::lock_guard lock(mutex_);
    answers_[path] = {bytes, after};
  }

  // The questions since the last call.
  std::vector<reference::Message> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }
  size_t asked() const {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }

 private:
  void read(WireServer::Conversation& talk) {
    const std::lock_guard lock(mutex_);
    while (talk.taken < talk.received.size()) {
      auto reading = reference::read_request(std::string_view(talk.received).substr(talk.taken));
      if (reading.outcome != reference::Outcome::whole) return;
      talk.taken += reading.message.size;
      const std::string path = reading.message.target.substr(0, reading.message.target.find('?'));
      asked_.push_back(std::move(reading.message));
      const auto at = answers_.find(path);
      if (at == answers_.end()) {
        talk.to_send += "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        continue;
      }
      talk.to_send += at->second.first;
      if (at->second.second == After::cut) talk.close = WireServer::Conversation::Close::after_sending;
    }
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::pair<std::string, After>> answers_;
  std::vector<reference::Message> asked_;
  WireServer server_;
};

}  // namespace e2e

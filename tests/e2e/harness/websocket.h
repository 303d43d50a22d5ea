// A real WebSocket client (python3-websockets) that sends what it is told and says what came back.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace e2e {

class WebSocket {
 public:
  WebSocket(uint16_t port, const std::string& path);  // connected, or a Failure
  ~WebSocket();
  std::string echo(const std::string& message);  // one line; what came back
  // Waits until the connection is closed; the code it was closed with.
  std::string wait_closed();

 private:
  struct Child;
  std::unique_ptr<Child> child_;
};

}  // namespace e2e

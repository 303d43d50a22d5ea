// A client on a raw socket that sends exactly the bytes it is told to and reads with a deadline.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace e2e {

struct Response {
  int status = 0;
  std::string head;                            // as it came
  std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ", "
  std::string body;                            // chunks joined
  std::string header(const std::string& name) const {
    auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
};

class Client {
 public:
  explicit Client(uint16_t port, const std::string& address = "127.0.0.1");
  static std::unique_ptr<Client> adopt(int descriptor);  // a connection that is there
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view bytes);
  // Sends what goes without waiting; how much that was.
  size_t send_some(std::string_view bytes);
  void end_sending();
  void reset();  // RST instead of FIN

  // The next response, a 1xx too. `method` decides whether a body follows.
  Response read_response(std::string_view method = "GET");
  // The head alone; body bytes stay unread.
  Response read_head();
  std::string read(size_t bytes);
  std::string read_through(std::string_view mark);  // to the end of its first occurrence
  std::string read_to_end();
  bool at_end();      // waits for the end; false: a byte came instead
  bool closed_now();  // without waiting: the peer has closed
  int descriptor() const { return descriptor_; }

 private:
  Client() = default;
  bool receive();
  void read_chunks(std::string& body);
  std::string read_line();
  int descriptor_ = -1;
  std::string buffer_;
};

// One request on a connection of its own.
Response get(uint16_t port, const std::string& target, const std::string& extra_fields = {});

}  // namespace e2e

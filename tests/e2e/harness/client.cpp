#include "e2e/harness/client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "e2e/harness/waiting.h"

namespace e2e {
namespace {

void await(int descriptor, short what, Clock::time_point until) {
  pollfd ready{descriptor, what, 0};
  if (::poll(&ready, 1, left_ms(until)) <= 0) throw Failure("the peer is silent");
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

Response parse_head(const std::string& head) {
  Response response;
  response.head = head;
  if (head.compare(0, 7, "HTTP/1.") != 0) throw Failure("no HTTP response:\n" + head);
  response.status = std::stoi(head.substr(9, 3));
  for (size_t at = head.find("\r\n") + 2; at + 2 < head.size();) {
    size_t end = head.find("\r\n", at);
    size_t colon = head.find(':', at);
    std::string name = lower(head.substr(at, colon - at));
    std::string value = head.substr(colon + 2, end - colon - 2);
    auto [it, fresh] = response.headers.try_emplace(name, value);
    if (!fresh) it->second += ", " + value;
    at = end + 2;
  }
  return response;
}

}  // namespace

Client::Client(uint16_t port, const std::string& address) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  socklen_t size = sizeof(sockaddr_in);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
  } else {
    ::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof(sockaddr_in6);
  }
  descriptor_ = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&storage), size) != 0) {
    int error = errno;
    ::close(descriptor_);
    throw Failure("cannot connect to port " + std::to_string(port) + ": " + std::strerror(error));
  }
}

std::unique_ptr<Client> Client::adopt(int descriptor) {
  std::unique_ptr<Client> client(new Client);
  client->descriptor_ = descriptor;
  return client;
}

Client::~Client() { ::close(descriptor_); }

void Client::send(std::string_view bytes) {
  auto until = Clock::now() + patience;
  while (!bytes.empty()) {
    await(descriptor_, POLLOUT, until);
    ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) throw Failure(std::string("send: ") + std::strerror(errno));
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

size_t Client::send_some(std::string_view bytes) {
  ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<size_t>(sent) : 0;
}

void Client::end_sending() { ::shutdown(descriptor_, SHUT_WR); }

void Client::reset() {
  linger at_once{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(descriptor_);
  descriptor_ = -1;
}

// false: the peer has ended.
bool Client::receive() {
  await(descriptor_, POLLIN, Clock::now() + patience);
  std::array<char, 65536> bytes;
  ssize_t got = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
  if (got < 0) throw Failure(std::string("recv: ") + std::strerror(errno));
  buffer_.append(bytes.data(), static_cast<size_t>(got));
  return got > 0;
}

Response Client::read_head() {
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (!receive()) throw Failure("the connection ended within a head:\n" + buffer_);
  Response response = parse_head(buffer_.substr(0, end + 4));
  buffer_.erase(0, end + 4);
  return response;
}

std::string Client::read(size_t bytes) {
  while (buffer_.size() < bytes)
    if (!receive()) throw Failure("the connection ended early");
  std::string out = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return out;
}

std::string Client::read_line() {
  size_t end;
  while ((end = buffer_.find("\r\n")) == std::string::npos)
    if (!receive()) throw Failure("the connection ended within a chunk's head");
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return line;
}

void Client::read_chunks(std::string& body) {
  while (size_t size = std::stoul(read_line(), nullptr, 16)) {
    body += read(size);
    read_line();
  }
  while (!read_line().empty()) {}
}

Response Client::read_response(std::string_view method) {
  Response response = read_head();
  bool bodiless =
      method == "HEAD" || response.status < 200 || response.status == 204 || response.status == 304;
  if (bodiless) return response;
  if (response.header("transfer-encoding") == "chunked")
    read_chunks(response.body);
  else if (std::string length = response.header("content-length"); !length.empty())
    response.body = read(std::stoul(length));
  else
    response.body = read_to_end();
  return response;
}

std::string Client::read_through(std::string_view mark) {
  size_t at;
  while ((at = buffer_.find(mark)) == std::string::npos)
    if (!receive()) throw Failure("the connection ended before '" + std::string(mark) + "': " + buffer_);
  std::string out = buffer_.substr(0, at + mark.size());
  buffer_.erase(0, out.size());
  return out;
}

std::string Client::read_to_end() {
  while (receive()) {}
  return std::exchange(buffer_, {});
}

bool Client::at_end() { return buffer_.empty() && !receive(); }

bool Client::closed_now() {
  char byte;
  ssize_t got = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN);
}

Response get(uint16_t port, const std::string& target, const std::string& extra_fields) {
  Client client(port);
  client.send("GET " + target + " HTTP/1.1\r\nhost: test\r\nconnection: close\r\n" + extra_fields + "\r\n");
  return client.read_response();
}

}  // namespace e2e

#include "e2e/harness/wire_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "e2e/harness/waiting.h"

namespace e2e {
namespace {

using Conversation = WireServer::Conversation;

// Everything or until the peer is gone.
void send_all(int descriptor, std::string& bytes, size_t piece) {
  for (size_t at = 0; at < bytes.size();) {
    ssize_t sent = ::send(descriptor, bytes.data() + at, std::min(piece, bytes.size() - at), MSG_NOSIGNAL);
    if (sent <= 0) break;
    at += static_cast<size_t>(sent);
  }
  bytes.clear();
}

// False: the connection is over.
bool converse(int descriptor, Conversation& talk, const WireServer::Handler& handler) {
  std::array<char, 65536> bytes;
  ssize_t got = ::recv(descriptor, bytes.data(), bytes.size(), 0);
  talk.ended = got <= 0;
  if (got > 0) talk.received.append(bytes.data(), static_cast<size_t>(got));
  handler(talk);
  if (talk.ended) return false;
  send_all(descriptor, talk.to_send, talk.piece);
  if (talk.close == Conversation::Close::at_once) {
    linger reset{1, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  return talk.close == Conversation::Close::keep;
}

}  // namespace

WireServer::WireServer(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 512) != 0 ||
      ::pipe2(stop_, O_CLOEXEC) != 0)
    throw Failure("no port for a backend");
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

WireServer::~WireServer() {
  ::close(stop_[1]);
  thread_.join();
  ::close(stop_[0]);
  ::close(listener_);
}

void WireServer::serve() {
  std::map<int, Conversation> talks;
  while (true) {
    std::vector<pollfd> waits{{stop_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& [descriptor, talk] : talks) waits.push_back({descriptor, POLLIN, 0});
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    if (waits[0].revents) break;
    for (size_t i = 2; i < waits.size(); ++i) {
      if (!waits[i].revents || converse(waits[i].fd, talks[waits[i].fd], handler_)) continue;
      ::close(waits[i].fd);
      talks.erase(waits[i].fd);
    }
    if (!waits[1].revents) continue;
    int made = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (made < 0) continue;
    int on = 1;
    ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    talks.emplace(made, Conversation{});
  }
  for (const auto& [descriptor, talk] : talks) ::close(descriptor);
}

}  // namespace e2e

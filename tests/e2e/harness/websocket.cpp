#include "e2e/harness/websocket.h"

#include <fcntl.h>
#include <unistd.h>

#include "e2e/harness/process.h"
#include "e2e/harness/temp_folder.h"
#include "e2e/harness/waiting.h"

#include <sys/stat.h>

namespace e2e {
namespace {

// Lines in from a fifo, answers out on standard output.
constexpr const char* script = R"(
import asyncio, sys, websockets
async def main(url, lines):
    async with websockets.connect(url, max_size=None) as socket:
        print("connected", flush=True)
        loop = asyncio.get_event_loop()
        source = open(lines)
        async def feed():
            while True:
                line = await loop.run_in_executor(None, source.readline)
                if not line: break
                await socket.send(line.rstrip("\n"))
        task = asyncio.ensure_future(feed())
        try:
            async for message in socket:
                print("got " + message, flush=True)
        finally:
            print("closed", socket.close_code, flush=True)
            import os
            os._exit(0)
try:
    asyncio.get_event_loop().run_until_complete(main(sys.argv[1], sys.argv[2]))
except Exception as e:
    print("failed", repr(e), flush=True)
)";

}  // namespace

struct WebSocket::Child {
  TempFolder folder;
  std::string fifo = folder.file("lines");
  std::unique_ptr<Process> process;
  int lines = -1;
};

WebSocket::WebSocket(uint16_t port, const std::string& path) : child_(std::make_unique<Child>()) {
  if (::mkfifo(child_->fifo.c_str(), 0600) != 0) throw Failure("no fifo");
  child_->lines = ::open(child_->fifo.c_str(), O_RDWR | O_CLOEXEC);
  std::string url = "ws://127.0.0.1:" + std::to_string(port) + path;
  child_->process = std::make_unique<Process>(
      std::vector<std::string>{"/usr/bin/python3", "-W", "ignore", "-c", script, url, child_->fifo},
      Process::Read::standard_output);
  std::string line = child_->process->wait_for_line("");
  if (line != "connected") throw Failure("WebSocket: " + line);
}

WebSocket::~WebSocket() { ::close(child_->lines); }

std::string WebSocket::echo(const std::string& message) {
  std::string line = message + "\n";
  if (::write(child_->lines, line.data(), line.size()) < 0) throw Failure("the WebSocket client is gone");
  return child_->process->wait_for_line("").substr(4);  // "got "
}

std::string WebSocket::wait_closed() { return child_->process->wait_for_line("closed"); }

}  // namespace e2e

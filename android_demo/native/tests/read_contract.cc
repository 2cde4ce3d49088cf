// read_contract: for the path of each contract on standard input one line, ok or the error.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "contract.h"
#include "error.h"

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    try {
      spoof::parse_contract(text);
      std::printf("ok\n");
    } catch (const spoof::Error& error) {
      std::printf("error: %s\n", error.what());
    }
  }
  return 0;
}

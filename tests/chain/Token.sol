// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A token as they are: what its maker calls it counts for nothing, its address for everything.
contract Token {
    string public symbol;
    uint8 public immutable decimals;
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor(string memory symbol_, uint8 decimals_) {
        symbol = symbol_;
        decimals = decimals_;
        balanceOf[msg.sender] = 10 ** 30;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(to, value);
        return true;
    }

    /// Pay twice in one transaction, as services do that pay many at once.
    function transferTwice(address to, uint256 value) external {
        _move(to, value);
        _move(to, value);
    }

    function _move(address to, uint256 value) private {
        require(balanceOf[msg.sender] >= value, "too little");
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
    }
}

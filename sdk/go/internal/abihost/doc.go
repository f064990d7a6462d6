// Package abihost has a C program that loads a plugin as the original gateway does, and the conversations it has with one built
// with this SDK. The program knows the ABI, and nothing of the SDK.
package abihost

"""Known mistakes of ports, each as what it would make of a layer or of a value: the one that was made is named."""

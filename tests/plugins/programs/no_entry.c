int nothing_of_penstock = 1;

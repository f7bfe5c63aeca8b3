#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A reload while another process holds the lock of the state directory: nginx
# waits a second for it, and then leaves what is declared to the workers.

use strict;
use warnings;

use Fcntl qw(F_SETLK F_WRLCK);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;
my $state = $t->dir . '/state';


sub text {
    my ($weight) = @_;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray 1m state=state;
    gray_release app { zone gray; hash \$arg_uid; variant stable;
                       variant canary weight=$weight%; }
    gray_release other { zone gray; hash \$arg_uid; variant stable;
                         variant canary weight=$weight%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 200 \$gray_app_revision; }
        location /gray/ { gray_admin; }
    }
}
END
}


sub document {
    my ($name) = @_;

    my $doc = $t->api('GET', "/gray/releases/$name")->{json};

    return "$doc->{revision} $doc->{origin} "
           . $doc->{variants}{canary}{weight};
}


sub patch {
    my ($name, $weight) = @_;

    return $t->api('PATCH', "/gray/releases/$name",
                   { variants => { canary => { weight => $weight } } });
}


# revisions in a journal

sub journal {
    my ($name) = @_;

    return join ' ', $t->read_file("state/$name.jsonl")
                     =~ /^\{"checksum":"\w{16}","layout":1,"revision":(\d+),/mg;
}


$t->config(text(10))->start;

is(document('app'), '1 nginx.conf 10', 'as declared');
is(patch('other', 50)->{status}, 200, 'another one is changed');


# nobody can write, and nobody is held up for long

open my $lock, '+<', "$state/.lock" or die "lock: $!\n";
my $range = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
fcntl $lock, F_SETLK, $range or die "fcntl: $!\n";

my $answer = patch('app', 20);

is($answer->{status}, 503, 'the lock is held');
is($answer->{headers}{'retry-after'}, 1, 'Retry-After');
like($answer->{json}{detail}, qr/^another process writes to the zone "gray"/,
     'detail');
is(document('app'), '1 nginx.conf 10', 'nothing was changed');

$t->expect(qr{state/\.lock" is held by another process});
$t->config(text(30));
ok($t->reload(gone => 1), 'a reload works');
ok($t->wait_log(qr/is held by another process, workers will take up/),
   'and says what it leaves to the workers');
is(document('app'), '1 nginx.conf 10', 'the live document serves');
is($t->get('/')->{body}, 1, 'in decisions, too');


# then the workers take up what is declared, and only that

close $lock;

ok(wait_until(sub { document('app') eq '2 nginx.conf 30' }),
   'what nginx.conf declares') or diag(document('app'));
is(document('other'), '2 api 50', 'what was changed at run time stays');
ok(wait_until(sub { journal('app') eq '1 2' }), 'the journal has it');
is(journal('other'), '1 2', 'and no more');
is(patch('app', 20)->{status}, 200, 'it goes on');
is(document('app'), '3 api 20', 'from there');

# each worker has had its turn

sleep 2;
is(document('app'), '3 api 20', 'nobody takes up more');

$t->done;
